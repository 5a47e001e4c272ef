// SPDX-License-Identifier: Apache-2.0
// page_map.h: exact mode's book of live blocks, as the hot path sees it; live.c has the rest.
//
// Two levels: address >> 26 leads to a leaf, address >> shift to the block's entry in it. Over glibc, whose blocks lie at least
// 32 bytes apart, an entry is 32 bits: what the block's usable size has more than was requested, and the id:
//
//     31      26 25                    0
//    +----------+-----------------------+
//    | slack    | stack id              |     slack 63: the size stands in a table (large blocks, mostly, and live samples)
//    +----------+-----------------------+
//
// Other allocators round sizes much further up and put blocks 16 bytes apart: an entry is 64 bits, size << 26 | id, the
// topmost bit set where the block stands in that table (as a live sample).
#ifndef HEAPTIDE_PAGE_MAP_H
#define HEAPTIDE_PAGE_MAP_H

#include "../sys.h"
#include "real.h"

enum { HT_LEAF_BITS = 26, HT_ROOT_BITS = 47 - HT_LEAF_BITS, HT_MAP_ID_BITS = 26, HT_SLACK_ODD = 63 };
#define HT_MAP_ID_MASK ((1u << HT_MAP_ID_BITS) - 1)
#define HT_MAP_WIDE_ODD (1ull << 63)

struct ht_page_map {
    void **root;       // of leaves
    bool wide;         // 64-bit entries, shift 4; else 32-bit, shift 5
    bool size_in_head; // the allocator keeps a block's usable size in front of it, where ht_sys_usable_size finds it
    unsigned shift;
};
extern struct ht_page_map ht_page_map __attribute__((visibility("hidden")));

// The 32-bit entry of a block; NULL: no leaf there yet. Not for the wide map.
static inline uint32_t *ht_map_entry(const void *block) {
    uint64_t address = (uint64_t)(uintptr_t)block, index = address >> HT_LEAF_BITS;
    if (ht_unlikely(index >> HT_ROOT_BITS)) return NULL;
    uint32_t *leaf = __atomic_load_n((uint32_t **)&ht_page_map.root[index], __ATOMIC_ACQUIRE);
    return leaf ? leaf + ((address & ((1ull << HT_LEAF_BITS) - 1)) >> 5) : NULL;
}

static inline size_t ht_map_usable(const void *block) {
    if (ht_likely(ht_page_map.size_in_head)) return ht_sys_usable_size(block);
    return ht_real.malloc_usable_size((void *)(uintptr_t)block);
}

#endif
