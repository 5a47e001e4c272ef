// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "weights.h"

#include <stdlib.h>

bool weights_init(struct weights *w, uint32_t group_count) {
    *w = (struct weights){.group_count = group_count};
    w->groups = calloc(group_count, sizeof(struct weight *));
    w->mappings = calloc(group_count, GROUP_IDS / 8);
    w->folded = calloc(group_count, GROUP_IDS / 8);
    return w->groups && w->mappings && w->folded;
}

void weights_deinit(struct weights *w) {
    for (uint32_t g = 0; w->groups && g < w->group_count; g++) free(w->groups[g]);
    free(w->groups);
    free(w->mappings);
    free(w->folded);
    *w = (struct weights){0};
}

void weights_set_mapping(struct weights *w, uint32_t id) { w->mappings[id / 8] |= (uint8_t)(1 << id % 8); }

static void take(struct account *account, struct weight *weight, uint64_t alloc_bytes, uint64_t in_use) {
    if ((int64_t)in_use < 0) in_use = 0; // more freed than allocated: shown as nothing, too
    account->alloc_bytes += alloc_bytes - weight->alloc_bytes;
    account->in_use += in_use - weight->in_use;
    weight->variation += (double)(in_use > weight->in_use ? in_use - weight->in_use : weight->in_use - in_use);
    weight->peak = max_u64(weight->peak, in_use);
    weight->alloc_bytes = alloc_bytes;
    weight->in_use = in_use;
}

bool weights_take(struct weights *w, const struct rows *rows) {
    const uint32_t *ids = rows_ids(rows);
    const uint64_t *alloc_bytes = rows_column(rows, ROW_ALLOC_BYTES), *in_use = rows_column(rows, ROW_IN_USE_BYTES);
    for (size_t i = 0; i < rows->count; i++) {
        struct weight **group = &w->groups[ids[i] / GROUP_IDS];
        if (!*group) *group = calloc(GROUP_IDS, sizeof **group);
        if (!*group) return false;
        take(&w->accounts[account_of(w, ids[i])], *group + ids[i] % GROUP_IDS, alloc_bytes[i], in_use[i]);
    }
    for (int a = 0; a < HT_ACCOUNTS; a++) w->accounts[a].peak = max_u64(w->accounts[a].peak, w->accounts[a].in_use);
    return true;
}

// ---- Folding --------------------------------------------------------------------------------------------------------

struct candidate {
    uint64_t peak;
    uint32_t id;
};

static int by_peak(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    return (x->peak > y->peak) - (x->peak < y->peak);
}

static uint32_t list_candidates(const struct weights *w, struct candidate *ret) {
    uint32_t n = 0;
    for (uint32_t g = 0; g < w->group_count; g++)
        for (uint32_t i = 0; w->groups[g] && i < GROUP_IDS; i++) {
            uint32_t id = g * GROUP_IDS + i;
            bool foldable = id >= HT_FIRST_STACK_ID && !is_folded(w, id) && account_of(w, id) == HT_ACCOUNT_BLOCKS;
            if (foldable && ret) ret[n] = (struct candidate){w->groups[g][i].peak, id};
            n += foldable;
        }
    return n;
}

// What it held goes to the one that stands for all.
static void fold(struct weights *w, uint32_t id) {
    struct weight *weight = &w->groups[id / GROUP_IDS][id % GROUP_IDS], *all = &w->groups[0][HT_ID_FOLDED];
    all->alloc_bytes += weight->alloc_bytes;
    all->in_use += weight->in_use;
    all->peak = max_u64(all->peak, all->in_use);
    *weight = (struct weight){0};
    w->folded[id / 64] |= 1ull << id % 64;
    w->folded_count++;
}

bool weights_fold(struct weights *w, uint32_t count, uint64_t *ret_heaviest) {
    uint32_t n = list_candidates(w, NULL);
    struct candidate *candidates = calloc(n + 1ul, sizeof *candidates);
    if (!w->groups[0]) w->groups[0] = calloc(GROUP_IDS, sizeof **w->groups);
    bool good = candidates && w->groups[0];
    if (good) {
        list_candidates(w, candidates);
        qsort(candidates, n, sizeof *candidates, by_peak);
        for (uint32_t i = 0; i < n && i < count; i++) {
            *ret_heaviest = candidates[i].peak;
            fold(w, candidates[i].id);
        }
    }
    free(candidates);
    return good;
}
