// SPDX-License-Identifier: Apache-2.0
#include "table.h"

enum { BUCKET = 8 };

bool ht_table_init(struct ht_table *t, unsigned capacity_bits) {
    uint64_t capacity = 1ull << capacity_bits;
    t->keys = ht_sys_map(capacity * sizeof *t->keys);
    t->blocks = ht_sys_map(capacity * sizeof *t->blocks);
    t->bucket_mask = capacity / BUCKET - 1;
    if (t->keys && t->blocks) return true;
    ht_table_deinit(t);
    return false;
}

void ht_table_deinit(struct ht_table *t) {
    uint64_t capacity = (t->bucket_mask + 1) * BUCKET;
    if (t->keys) ht_sys_unmap(t->keys, capacity * sizeof *t->keys);
    if (t->blocks) ht_sys_unmap(t->blocks, capacity * sizeof *t->blocks);
    *t = (struct ht_table){0};
}

void ht_table_empty(struct ht_table *t) {
    uint64_t capacity = (t->bucket_mask + 1) * BUCKET;
    ht_sys_discard(t->keys, capacity * sizeof *t->keys);
}

static uint64_t bucket_of(const struct ht_table *t, uint64_t address, int which) {
    uint64_t h = (address >> 3) * (which ? 0xc2b2ae3d27d4eb4full : 0x9e3779b97f4a7c15ull);
    return (h >> 24 & t->bucket_mask) * BUCKET;
}

static int64_t slot_of(const struct ht_table *t, uint64_t address) {
    for (int which = 0; which < 2; which++) {
        uint64_t first = bucket_of(t, address, which);
        for (uint64_t i = first; i < first + BUCKET; i++)
            if (__atomic_load_n(&t->keys[i], __ATOMIC_ACQUIRE) == address) return (int64_t)i;
    }
    return -1;
}

static bool put_in_bucket(struct ht_table *t, uint64_t first, uint64_t address, const struct ht_block *block) {
    for (uint64_t i = first; i < first + BUCKET; i++) {
        uint64_t nobody = 0;
        if (__atomic_load_n(&t->keys[i], __ATOMIC_RELAXED) != 0) continue;
        if (!__atomic_compare_exchange_n(&t->keys[i], &nobody, address, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        t->blocks[i] = *block; // nobody asks for this address before its owner has it
        return true;
    }
    return false;
}

bool ht_table_put(struct ht_table *t, uint64_t address, const struct ht_block *block) {
    int64_t old = slot_of(t, address); // a free that went past us left it behind
    if (old >= 0) {
        t->blocks[old] = *block;
        return true;
    }
    return put_in_bucket(t, bucket_of(t, address, 0), address, block) ||
           put_in_bucket(t, bucket_of(t, address, 1), address, block);
}

bool ht_table_find(const struct ht_table *t, uint64_t address, struct ht_block *ret) {
    int64_t slot = t->keys ? slot_of(t, address) : -1;
    if (slot >= 0) *ret = t->blocks[slot];
    return slot >= 0;
}

void ht_table_remove(struct ht_table *t, uint64_t address) {
    int64_t slot = slot_of(t, address);
    if (slot >= 0) __atomic_store_n(&t->keys[slot], 0, __ATOMIC_RELEASE);
}
