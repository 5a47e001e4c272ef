// SPDX-License-Identifier: Apache-2.0
// record.h: what is done about one allocation or one free, behind the shim's fast paths.
#ifndef HEAPTIDE_RECORD_H
#define HEAPTIDE_RECORD_H

#include "exact.h"
#include "stacks.h"
#include "table.h"

// `block` was allocated for a request of `size` bytes by `caller`. NULL is ignored.
void ht_record_alloc(const void *block, size_t size, const struct ht_caller *caller);
// The same in exact mode where the stack is known already.
void ht_record_captured(struct ht_books *b, const void *block, size_t size, uint32_t id);
// `block` is about to be freed.
void ht_record_free(const void *block);

// realloc frees the old block inside, and puts it back when it fails. Between take and one of the other two the block
// is in no book, while its counters still say "in use".
bool ht_record_take(const void *block, struct ht_block *ret); // false: it was not recorded
void ht_record_taken_is_free(const struct ht_block *taken);
void ht_record_put_back(const void *block, const struct ht_block *taken);

// Counts bytes that the program mapped, or unmapped, itself, and the mapping when `is_object`.
void ht_record_mapping(struct ht_books *b, uint32_t id, uint64_t bytes, bool is_object, bool allocated);

// After each operation that was counted in exact mode: HEAPPROFILE decides whether to dump. NULL: nobody asks.
typedef void ht_record_listener(uint64_t allocated, uint64_t freed);
extern ht_record_listener *ht_record_listen __attribute__((visibility("hidden")));

// What the draws of this process begin with (HEAPTIDE_SEED, or random); before its first one.
void ht_record_seed(uint64_t seed);

#endif
