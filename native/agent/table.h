// SPDX-License-Identifier: Apache-2.0
// table.h: a table of blocks by address, of fixed capacity, lock-free. Each key lies in one of two buckets of eight, a cache
// line of keys each, whichever had more room; a bucket is searched whole, so removal leaves no marks and nothing ever
// moves. An address is never put by one thread while another takes it: only the one who holds a block may free it.
//
// Besides the owners of blocks one other may look at entries and change them: the holder, one at a time (thin.c). Addresses
// are multiples of 8, and the low bits of a key say whose the entry is:
//
//          put             take, or put            put ends
//     0 ---------> KEY|OWNED <-------- KEY <--------------
//     ^               | take ends      ^ |
//     +---------------+       release  | | hold                  KEY: of the owner, at rest
//     |                                | v                       OWNED: the owner reads or writes it this moment
//     |  release                     KEY|HELD                    HELD: the holder does
//     +-------- KEY|HELD|OWNED <-------+ take                    both: taken while held. The holder counts the free
//
// Nobody ever waits: who finds an entry held leaves it to the holder.
#ifndef HEAPTIDE_TABLE_H
#define HEAPTIDE_TABLE_H

#include "../sys.h"

struct ht_block {
    uint64_t bytes;   // exact: as requested; sampled: that it stands for
    uint64_t objects; // exact: 1; sampled: that it stands for, in 1/65536
    double variance;  // sampled: of bytes
    uint32_t id;
    uint32_t size; // sampled: as requested, at most UINT32_MAX
    uint32_t slot; // among the live samples (live_samples.h), from 1 on; 0: it is none
};

struct ht_table {
    uint64_t *keys;
    struct ht_block *blocks;
    uint64_t bucket_mask;
};

bool ht_table_init(struct ht_table *t, unsigned capacity_bits);
void ht_table_deinit(struct ht_table *t);
void ht_table_empty(struct ht_table *t); // while others may be reading it
static inline uint64_t ht_table_capacity(const struct ht_table *t) { return t->keys ? (t->bucket_mask + 1) * 8 : 0; }

// `address` must not be there. False: both buckets are full, or the address is no multiple of 8.
bool ht_table_put(struct ht_table *t, uint64_t address, const struct ht_block *block);
enum ht_taken { HT_TAKEN_NOTHING, HT_TAKEN, HT_TAKEN_BY_HOLDER };
// Removes the entry of an address that the caller owns. HT_TAKEN_BY_HOLDER: the holder will, and sees that it was taken.
enum ht_taken ht_table_take(struct ht_table *t, uint64_t address, struct ht_block *ret);

// ---- For the holder -----------------------------------------------------------------------------------------------------

// Holds the entry in `slot`: its block may be read and written until it is released. False: there is nothing to hold. One that a
// holder before left held is held again.
bool ht_table_hold(struct ht_table *t, uint64_t slot);
// 0: back to its owner. Else the address of a block that was taken meanwhile; its entry is free now.
uint64_t ht_table_release(struct ht_table *t, uint64_t slot);
// Removes a held entry and gives its address; its owner finds nothing.
uint64_t ht_table_drop(struct ht_table *t, uint64_t slot);

#endif
