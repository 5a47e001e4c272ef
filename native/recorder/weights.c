// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "weights.h"

#include <stdlib.h>

bool weights_init(struct weights *w, uint32_t group_count) {
    *w = (struct weights){.group_count = group_count};
    w->groups = calloc(group_count, sizeof(struct weight *));
    w->mappings = calloc(group_count, GROUP_IDS / 8);
    return w->groups && w->mappings;
}

void weights_deinit(struct weights *w) {
    for (uint32_t g = 0; w->groups && g < w->group_count; g++) free(w->groups[g]);
    free(w->groups);
    free(w->mappings);
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
