// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "tally.h"

#include <stdlib.h>
#include <string.h>

bool tally_init(struct tally *t, const struct books *books) {
    *t = (struct tally){.mode = books->mode,
                        .group_count = books->group_count,
                        .lane_count = books->lane_count,
                        .run_bytes = books->run_bytes,
                        .copy_limit = books->pool_pages * HT_PAGE};
    for (int phase = 0; phase < PHASES; phase++) t->groups[phase] = calloc(t->group_count, sizeof *t->groups[phase]);
    t->copies = calloc(t->lane_count, sizeof *t->copies);
    t->quiet_seq = calloc(t->lane_count, sizeof *t->quiet_seq);
    t->scratch = malloc(t->run_bytes);
    return t->groups[0] && t->groups[1] && t->copies && t->quiet_seq && t->scratch;
}

void tally_deinit(struct tally *t) {
    for (int phase = 0; phase < PHASES; phase++) {
        for (uint32_t g = 0; t->groups[phase] && g < t->group_count; g++) free(t->groups[phase][g]);
        free(t->groups[phase]);
    }
    for (uint32_t lane = 0; t->copies && lane < t->lane_count; lane++) {
        for (uint64_t i = 0; t->copies[lane] && i < (uint64_t)t->group_count * HT_BUFFERS; i++)
            free(t->copies[lane][i]);
        free(t->copies[lane]);
    }
    free(t->copies);
    free(t->quiet_seq);
    free(t->scratch);
    *t = (struct tally){0};
}

// ---- One run --------------------------------------------------------------------------------------------------------

static void add_sampled(struct totals *to, const struct ht_sampled_counter *now,
                        const struct ht_sampled_counter *then) {
    to->counts[0] += now->alloc_bytes - then->alloc_bytes;
    to->counts[1] += now->alloc_objects_fp16 - then->alloc_objects_fp16;
    to->counts[2] += now->free_bytes - then->free_bytes;
    to->counts[3] += now->free_objects_fp16 - then->free_objects_fp16;
    to->variance[0] += now->alloc_variance - then->alloc_variance;
    to->variance[1] += now->free_variance - then->free_variance;
    to->samples[0] += now->alloc_samples - then->alloc_samples; // 32 bits: wraps as the agent's do
    to->samples[1] += now->free_samples - then->free_samples;
}

static void add_exact(struct totals *to, const struct ht_counter *now, const struct ht_counter *then) {
    to->counts[0] += now->alloc_bytes - then->alloc_bytes;
    to->counts[1] += now->alloc_objects - then->alloc_objects;
    to->counts[2] += now->free_bytes - then->free_bytes;
    to->counts[3] += now->free_objects - then->free_objects;
}

// False: a number that no honest agent comes to. Readers take 2^63, infinity and less than nothing for damage; the limits
// are such that the phases' sum keeps below those.
static bool is_possible(const struct totals *t) {
    uint64_t bits = t->counts[0] | t->counts[1] | t->counts[2] | t->counts[3] | t->samples[0] | t->samples[1];
    const double *v = t->variance;
    return !(bits >> 62) && v[0] >= 0 && v[0] < 1e300 && v[1] >= 0 && v[1] < 1e300;
}

static bool add_run(const struct tally *t, struct group_totals *group, const uint8_t *now, const uint8_t *then) {
    size_t slot = t->run_bytes / GROUP_IDS;
    for (uint32_t i = 0; i < GROUP_IDS; i++, now += slot, then += slot) {
        if (!memcmp(now, then, slot)) continue;
        group->dirty[i / 64] |= 1ull << i % 64;
        if (t->mode == HT_MODE_EXACT)
            add_exact(&group->ids[i], (const void *)now, (const void *)then);
        else
            add_sampled(&group->ids[i], (const void *)now, (const void *)then);
        if (!is_possible(&group->ids[i])) return false;
    }
    return true;
}

static bool all_zero(const uint8_t *data, size_t bytes) { return data[0] == 0 && !memcmp(data, data + 1, bytes - 1); }

// The copy kept of a run; made (all zeros) when there is none. NULL: no memory, or more copies than the pool has pages.
static uint8_t *copy_of(struct tally *t, uint8_t **slot) {
    if (*slot) return *slot;
    if (t->copy_bytes + t->run_bytes > t->copy_limit) return NULL;
    t->copy_bytes += t->run_bytes;
    return *slot = calloc(1, t->run_bytes);
}

static const char *merge_run(struct tally *t, const struct books *books, uint32_t page, uint32_t lane, uint32_t place) {
    uint32_t buffer = place % HT_BUFFERS, phase = buffer / 2;
    uint8_t **slot = &t->copies[lane][place];
    if (!books_read_run(books, page, buffer, t->scratch)) return "a counter page outside the pool";
    if (*slot ? !memcmp(*slot, t->scratch, t->run_bytes) : all_zero(t->scratch, t->run_bytes)) return NULL;
    struct group_totals **group = &t->groups[phase][place / HT_BUFFERS];
    if (!*group) *group = calloc(1, sizeof **group);
    uint8_t *copy = copy_of(t, slot);
    if (!*group || !copy) return "counters beyond what the pool can hold, or no memory for their copies";
    if (!add_run(t, *group, t->scratch, copy)) return "an impossible count";
    memcpy(copy, t->scratch, t->run_bytes);
    return NULL;
}

// ---- All of them ----------------------------------------------------------------------------------------------------

static const char *merge_lane(struct tally *t, const struct books *books, uint32_t lane, uint32_t buffers) {
    if (!t->copies[lane]) t->copies[lane] = calloc((size_t)t->group_count * HT_BUFFERS, sizeof **t->copies);
    if (!t->copies[lane]) return "no memory for the copies of counters";
    for (uint32_t g = 0, n = books_groups_used(books); g < n; g++) {
        uint32_t page = books_group_page(books, lane, g);
        for (uint32_t b = 0; page && b < HT_BUFFERS; b++) {
            const char *why = buffers >> b & 1 ? merge_run(t, books, page, lane, g * HT_BUFFERS + b) : NULL;
            if (why) return why;
        }
    }
    return NULL;
}

// No operation since the cut before last: then nothing can have come into the buffer that this cut brought to rest, for it
// has taken operations since the last cut only.
static bool is_quiet(struct tally *t, const struct books *books, uint32_t lane) {
    uint64_t seq = load_acquire(&books_lane(books, lane)->seq);
    uint64_t *before = t->quiet_seq[lane];
    bool quiet = lane > 0 && !(seq & 1) && seq && before[0] == seq && before[1] == seq;
    before[1] = before[0];
    before[0] = seq;
    return quiet;
}

const char *tally_merge(struct tally *t, const struct books *books, uint32_t buffers, bool dead) {
    for (uint32_t lane = 0, n = books_lanes_used(books); lane < n; lane++) {
        if (is_quiet(t, books, lane) && !dead) continue;
        const char *why = merge_lane(t, books, lane, buffers);
        if (why) return why;
    }
    return NULL;
}

// ---- Reading --------------------------------------------------------------------------------------------------------

static void add_totals(struct totals *to, const struct totals *part) {
    for (int i = 0; i < 4; i++) to->counts[i] += part->counts[i];
    for (int i = 0; i < 2; i++) to->variance[i] += part->variance[i];
    for (int i = 0; i < 2; i++) to->samples[i] += part->samples[i];
}

struct totals tally_of(const struct tally *t, uint32_t id, uint32_t phases) {
    struct totals sum = {0};
    for (int phase = 0; phase < PHASES; phase++) {
        const struct group_totals *group = t->groups[phase][id / GROUP_IDS];
        if (group && phases >> phase & 1) add_totals(&sum, &group->ids[id % GROUP_IDS]);
    }
    return sum;
}

uint64_t tally_dirty_word(const struct tally *t, uint32_t word, uint32_t phases) {
    uint64_t dirty = 0;
    for (int phase = 0; phase < PHASES; phase++) {
        const struct group_totals *group = t->groups[phase][word / (GROUP_IDS / 64)];
        if (group && phases >> phase & 1) dirty |= group->dirty[word % (GROUP_IDS / 64)];
    }
    return dirty;
}

void tally_clean(struct tally *t, uint32_t phases) {
    for (int phase = 0; phase < PHASES; phase++)
        for (uint32_t g = 0; phases >> phase & 1 && g < t->group_count; g++)
            if (t->groups[phase][g]) memset(t->groups[phase][g]->dirty, 0, sizeof t->groups[phase][g]->dirty);
}

struct totals tally_sum_of(const struct tally *t, const uint64_t *ids, uint32_t phases) {
    struct totals sum = {0};
    for (uint32_t word = 0, n = tally_words(t); word < n; word++)
        for (uint64_t bits = ids[word]; bits; bits &= bits - 1) {
            struct totals part = tally_of(t, word * 64 + (uint32_t)__builtin_ctzll(bits), phases);
            add_totals(&sum, &part);
        }
    return sum;
}

struct totals tally_sum(const struct tally *t, uint32_t phases) {
    struct totals sum = {0};
    for (int phase = 0; phase < PHASES; phase++)
        for (uint32_t g = 0; phases >> phase & 1 && g < t->group_count; g++)
            for (uint32_t i = 0; t->groups[phase][g] && i < GROUP_IDS; i++)
                add_totals(&sum, &t->groups[phase][g]->ids[i]);
    return sum;
}
