// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "thin.h"

#include <stdlib.h>

enum {
    LEVELS = 4096,    // the finest that the past is kept: this part of the whole time
    ENOUGH = 400,     // snapshots; with fewer, light stacks are kept at fewer moments than heavy ones
    LEAST_WHOLE = 24, // snapshots that hold all stacks
};

// ---- The order ------------------------------------------------------------------------------------------------------

// How many snapshots one would like to have in a stretch of time, up to a factor: half of them evenly over the whole, for
// verdicts on the whole; half by equal ratios of age, for a closer look at what is recent.
struct wish {
    double whole_ns, finest_ns, octaves;
    uint64_t now_ns;
};

// Natural logarithm of the number of levels, without the mathematical library.
#define LN_LEVELS 8.317766

static struct wish wish_for(const struct past *past, uint32_t count) {
    double whole = (double)(past[count - 1].boottime_ns - past[0].boottime_ns) + 1;
    return (struct wish){whole, whole / LEVELS, LN_LEVELS, past[count - 1].boottime_ns};
}

static double density(const struct wish *wish, uint64_t at_ns) {
    double age = (double)(wish->now_ns - at_ns) + wish->finest_ns;
    return 0.5 / wish->whole_ns + 0.5 / (wish->octaves * age);
}

// 0.5 to 1.5, by the snapshot's number: which of several equals goes is not by their distance, or what repeats at about
// the distance of those that stay would show as a slow movement.
static double jitter(uint32_t number) {
    uint32_t h = number * 2654435761u;
    h = (h ^ h >> 15) * 2246822519u;
    return 0.5 + (double)((h ^ h >> 13) & 0xffff) / 65536;
}

struct heap_entry {
    double cost;
    uint32_t index;
};

struct order {
    const struct past *past;
    struct wish wish;
    uint32_t *before, *after; // of those that are still there
    struct heap_entry *heap;
    uint32_t heap_count;
};

// What is lost with this one: how much of what one would like to have lies between its neighbours.
static double cost_of(const struct order *o, uint32_t i) {
    const struct past *p = o->past;
    double gap = (double)(p[o->after[i]].boottime_ns - p[o->before[i]].boottime_ns);
    return gap * density(&o->wish, p[i].boottime_ns) * jitter(p[i].number);
}

static void swap_entries(struct heap_entry *a, struct heap_entry *b) {
    struct heap_entry kept = *a;
    *a = *b;
    *b = kept;
}

static void sink(struct order *o, uint32_t at) {
    for (uint32_t child; (child = 2 * at + 1) < o->heap_count; at = child) {
        if (child + 1 < o->heap_count && o->heap[child + 1].cost < o->heap[child].cost) child++;
        if (o->heap[at].cost <= o->heap[child].cost) return;
        swap_entries(&o->heap[at], &o->heap[child]);
    }
}

// Costs only rise, so an entry whose cost is no longer right sinks to its place when it comes up.
static uint32_t cheapest(struct order *o) {
    for (;;) {
        struct heap_entry *top = o->heap;
        double cost = cost_of(o, top->index);
        if (cost <= top->cost) break;
        top->cost = cost;
        sink(o, 0);
    }
    uint32_t index = o->heap[0].index;
    o->heap[0] = o->heap[--o->heap_count];
    sink(o, 0);
    return index;
}

static void fill(struct order *o, uint32_t count, uint32_t *ret) {
    for (uint32_t i = 0; i < count; i++) {
        o->before[i] = i ? i - 1 : 0;
        o->after[i] = i + 1 < count ? i + 1 : i;
    }
    for (uint32_t i = 0; i < count; i++) {
        ret[i] = THIN_NEVER;
        bool stays = i == 0 || i + 1 == count || o->past[i].stays;
        if (!stays) o->heap[o->heap_count++] = (struct heap_entry){cost_of(o, i), i};
    }
    for (uint32_t at = o->heap_count / 2; at-- > 0;) sink(o, at);
}

int64_t thin_order(const struct past *past, uint32_t count, uint32_t *ret) {
    if (!count) return 0;
    struct order o = {.past = past, .wish = wish_for(past, count)};
    o.before = calloc(count, sizeof *o.before);
    o.after = calloc(count, sizeof *o.after);
    o.heap = calloc(count, sizeof *o.heap);
    int64_t ranks = -1;
    if (o.before && o.after && o.heap) {
        fill(&o, count, ret);
        ranks = 0;
        while (o.heap_count) {
            uint32_t gone = cheapest(&o);
            ret[gone] = (uint32_t)++ranks;
            o.after[o.before[gone]] = o.after[gone];
            o.before[o.after[gone]] = o.before[gone];
        }
    }
    free(o.before);
    free(o.after);
    free(o.heap);
    return ranks;
}

// ---- How many -------------------------------------------------------------------------------------------------------

// The lowest rank with which these savings reach `wanted`; THIN_NEVER: none.
static uint32_t rank_that_saves(const uint64_t *all, const uint64_t *without, uint32_t ranks, uint64_t wanted) {
    uint64_t saved = 0;
    for (uint32_t rank = 0; rank <= ranks; rank++) {
        saved += all[rank] - (without ? without[rank] : 0);
        if (saved >= wanted) return rank;
    }
    return THIN_NEVER;
}

// Up to a rank.
static uint64_t sum(const uint64_t *values, uint32_t last) {
    uint64_t all = 0;
    for (uint32_t rank = 0; rank <= last; rank++) all += values[rank];
    return all;
}

bool thin_choose(const struct savings *s, uint64_t target, struct choice *ret) {
    uint64_t wanted = s->total > target ? s->total - target : 0;
    uint32_t both = rank_that_saves(s->all, NULL, s->ranks, wanted);
    *ret = (struct choice){s->ranks, s->ranks};
    if (both != THIN_NEVER) *ret = (struct choice){both, both};
    if (both != THIN_NEVER && (both == 0 || s->ranks - both >= ENOUGH)) return true;
    // So many whole ones that the light stacks take a third of the room that snapshots have.
    uint64_t light = sum(s->light, s->ranks), all = sum(s->all, s->ranks), room = all > wanted ? all - wanted : 0;
    if (!light || s->ranks <= LEAST_WHOLE || !room) return both != THIN_NEVER;
    uint32_t for_light = rank_that_saves(s->light, NULL, s->ranks, light > room / 3 ? light - room / 3 : 0);
    if (for_light > s->ranks - LEAST_WHOLE) for_light = s->ranks - LEAST_WHOLE;
    uint64_t of_light = sum(s->light, for_light);
    uint32_t for_heavy = rank_that_saves(s->all, s->light, s->ranks, wanted > of_light ? wanted - of_light : 0);
    if (for_heavy <= for_light) *ret = (struct choice){for_heavy, for_light};
    return both != THIN_NEVER || for_heavy <= for_light;
}
