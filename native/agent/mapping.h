// SPDX-License-Identifier: Apache-2.0
// mapping.h: memory that the program maps itself (mmap, mremap, brk), by stack, apart from the allocator's blocks. What the
// allocator maps for its blocks is not recorded: those blocks are. Where it lies is told in the books.
#ifndef HEAPTIDE_MAPPING_H
#define HEAPTIDE_MAPPING_H

#include "books.h"

// Sets up for a recording; again in a fork child, with nothing in it. False: no memory.
bool ht_mapping_init(struct ht_books *b);
void ht_mapping_find_next(void); // the functions behind ours
extern bool ht_mapping_on __attribute__((visibility("hidden")));

// [start, start + bytes) was mapped by `caller`; what was recorded there before is gone.
void ht_mapping_added(uint64_t start, uint64_t bytes, const struct ht_caller *caller);

// What is recorded in a range that is about to be unmapped or moved. Taken out first, for another thread may map there as
// soon as it is free; then either counted as freed or, when the call failed, put back.
enum { HT_MAPPING_PIECES = 16 };
struct ht_mapping_taken {
    unsigned count;
    struct ht_range piece[HT_MAPPING_PIECES];
};
void ht_mapping_take(uint64_t start, uint64_t bytes, struct ht_mapping_taken *ret);
void ht_mapping_taken_is_free(const struct ht_mapping_taken *taken);
void ht_mapping_put_back(const struct ht_mapping_taken *taken);

#endif
