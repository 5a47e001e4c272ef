// SPDX-License-Identifier: Apache-2.0
// table.h: a table of blocks by address, of fixed capacity, lock-free. Each key lies in one of two buckets of eight, a cache
// line of keys each; a bucket is searched whole, so removal leaves no marks and nothing ever moves. An address is never
// put by one thread while another takes it: only the one who holds a block may free it.
#ifndef HEAPTIDE_TABLE_H
#define HEAPTIDE_TABLE_H

#include "../sys.h"

struct ht_block {
    uint64_t size;     // requested bytes
    uint64_t interval; // sampled: the mean interval it was drawn with
    uint32_t id;
};

struct ht_table {
    uint64_t *keys;
    struct ht_block *blocks;
    uint64_t bucket_mask;
};

bool ht_table_init(struct ht_table *t, unsigned capacity_bits);
void ht_table_deinit(struct ht_table *t);
void ht_table_empty(struct ht_table *t);                                               // while others may be reading it
bool ht_table_put(struct ht_table *t, uint64_t address, const struct ht_block *block); // false: both buckets are full
bool ht_table_find(const struct ht_table *t, uint64_t address, struct ht_block *ret);
void ht_table_remove(struct ht_table *t, uint64_t address);

#endif
