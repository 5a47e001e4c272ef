// SPDX-License-Identifier: Apache-2.0
// weights.h: how heavy each stack ever was, by every snapshot that was made, whether it is still in the file or not. What is
// thinned out of the past goes by this.
#ifndef HEAPTIDE_WEIGHTS_H
#define HEAPTIDE_WEIGHTS_H

#include "rows.h"

struct weight {
    uint64_t alloc_bytes; // at the last snapshot
    uint64_t in_use;
    uint64_t peak;    // most in use
    double variation; // sum of the changes of what is in use, up and down, from snapshot to snapshot
};

struct account {
    uint64_t alloc_bytes, in_use, peak;
};

struct weights {
    struct weight **groups; // of GROUP_IDS ids; NULL: none of them was ever seen
    uint32_t group_count;
    uint8_t *mappings; // bit by id: counts mappings
    uint64_t *folded;  // bit by id: written under HT_ID_FOLDED
    uint32_t folded_count;
    struct account accounts[HT_ACCOUNTS];
};

bool weights_init(struct weights *weights, uint32_t group_count);
void weights_deinit(struct weights *weights);
void weights_set_mapping(struct weights *weights, uint32_t id); // an id that is in range
// The `count` lightest stacks of blocks that were not folded yet are from now on one. Returns how much the heaviest of them
// ever held. False: no memory.
bool weights_fold(struct weights *weights, uint32_t count, uint64_t *ret_heaviest);
// A snapshot is being made. Taking the same one again, with newer values, does no harm. False: no memory.
bool weights_take(struct weights *weights, const struct rows *rows);

static inline const struct weight *weight_of(const struct weights *w, uint32_t id) {
    const struct weight *group = w->groups[id / GROUP_IDS];
    return group ? group + id % GROUP_IDS : NULL;
}
static inline bool is_folded(const struct weights *w, uint32_t id) { return w->folded[id / 64] >> id % 64 & 1; }
static inline enum ht_account account_of(const struct weights *w, uint32_t id) {
    return w->mappings[id / 8] >> id % 8 & 1 ? HT_ACCOUNT_MAPPINGS : HT_ACCOUNT_BLOCKS;
}

#endif
