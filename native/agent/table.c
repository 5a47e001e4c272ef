// SPDX-License-Identifier: Apache-2.0
#include "table.h"

enum { BUCKET = 8, HELD = 1, OWNED = 2, STATE = HELD | OWNED };

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

void ht_table_empty(struct ht_table *t) { ht_sys_discard(t->keys, ht_table_capacity(t) * sizeof *t->keys); }

static uint64_t bucket_of(const struct ht_table *t, uint64_t address, int which) {
    uint64_t h = (address >> 3) * (which ? 0xc2b2ae3d27d4eb4full : 0x9e3779b97f4a7c15ull);
    return (h >> 24 & t->bucket_mask) * BUCKET;
}

static uint64_t key_at(const struct ht_table *t, uint64_t slot) {
    return __atomic_load_n(&t->keys[slot], __ATOMIC_ACQUIRE);
}

static bool change(struct ht_table *t, uint64_t slot, uint64_t from, uint64_t to) {
    return __atomic_compare_exchange_n(&t->keys[slot], &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void set(struct ht_table *t, uint64_t slot, uint64_t key) {
    __atomic_store_n(&t->keys[slot], key, __ATOMIC_RELEASE);
}

// ---- The owner's side -----------------------------------------------------------------------------------------------

static bool put_in_bucket(struct ht_table *t, uint64_t first, uint64_t address, const struct ht_block *block) {
    for (uint64_t i = first; i < first + BUCKET; i++) {
        if (key_at(t, i) || !change(t, i, 0, address | OWNED)) continue;
        t->blocks[i] = *block;
        set(t, i, address);
        return true;
    }
    return false;
}

static int in_bucket(const struct ht_table *t, uint64_t first) {
    int used = 0;
    for (uint64_t i = first; i < first + BUCKET; i++) used += __atomic_load_n(&t->keys[i], __ATOMIC_RELAXED) != 0;
    return used;
}

bool ht_table_put(struct ht_table *t, uint64_t address, const struct ht_block *block) {
    if (!t->keys || !address || address & 7) return false;
    uint64_t one = bucket_of(t, address, 0), other = bucket_of(t, address, 1);
    bool one_first = in_bucket(t, one) <= in_bucket(t, other);
    return put_in_bucket(t, one_first ? one : other, address, block) ||
           put_in_bucket(t, one_first ? other : one, address, block);
}

// The slot of an entry that its owner can take: at rest or held.
static int64_t slot_of(const struct ht_table *t, uint64_t address) {
    for (int which = 0; which < 2; which++) {
        uint64_t first = bucket_of(t, address, which);
        for (uint64_t i = first; i < first + BUCKET; i++)
            if ((key_at(t, i) & ~(uint64_t)HELD) == address) return (int64_t)i;
    }
    return -1;
}

enum ht_taken ht_table_take(struct ht_table *t, uint64_t address, struct ht_block *ret) {
    if (!t->keys || !address || address & 7) return HT_TAKEN_NOTHING;
    for (int64_t found;
         (found = slot_of(t, address)) >= 0;) { // again when the holder came or went: twice a pass at most
        uint64_t slot = (uint64_t)found;
        if (change(t, slot, address | HELD, address | HELD | OWNED)) return HT_TAKEN_BY_HOLDER;
        if (!change(t, slot, address, address | OWNED)) continue;
        *ret = t->blocks[slot];
        set(t, slot, 0);
        return HT_TAKEN;
    }
    return HT_TAKEN_NOTHING;
}

// ---- The holder's side ----------------------------------------------------------------------------------------------

bool ht_table_hold(struct ht_table *t, uint64_t slot) {
    uint64_t key = key_at(t, slot);
    if (key & HELD) return true;
    return key && !(key & OWNED) && change(t, slot, key, key | HELD);
}

uint64_t ht_table_release(struct ht_table *t, uint64_t slot) {
    uint64_t address = key_at(t, slot) & ~(uint64_t)STATE;
    if (change(t, slot, address | HELD, address)) return 0;
    set(t, slot, 0);
    return address;
}

uint64_t ht_table_drop(struct ht_table *t, uint64_t slot) {
    return __atomic_exchange_n(&t->keys[slot], 0, __ATOMIC_ACQ_REL) & ~(uint64_t)STATE;
}
