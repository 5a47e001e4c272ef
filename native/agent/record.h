// SPDX-License-Identifier: Apache-2.0
// record.h: what is done about one allocation or one free, behind the shim's fast paths.
#ifndef HEAPTIDE_RECORD_H
#define HEAPTIDE_RECORD_H

#include "exact.h"
#include "stacks.h"
#include "table.h"

// `block` was allocated for a request of `size` bytes by `caller`. NULL is ignored.
void ht_record_alloc(const void *block, size_t size, const struct ht_caller *caller);
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

// The same two, with exact mode's usual case in line: for malloc and free alone.
static inline void ht_record_alloc_inline(const void *block, size_t size, const struct ht_caller *caller) {
    struct ht_books *b = ht_books_now();
    struct ht_thread *t = ht_tls.thread;
    if (ht_likely(b && t && t->books == b && b->mode == HT_MODE_EXACT && block && !t->capturing && ht_books_armed(b))) {
        uint32_t id = ht_memo_known(&t->memo, caller);
        if (ht_unlikely(!id)) id = ht_stacks_capture(b, t, caller);
        if (ht_likely(ht_exact_alloc(b, t, block, size, id))) {
            if (ht_unlikely(ht_record_listen != NULL)) ht_record_listen(size, 0);
            return;
        }
    }
    ht_record_alloc(block, size, caller);
}

static inline void ht_record_free_inline(const void *block) {
    struct ht_books *b = ht_books_now();
    struct ht_thread *t = ht_tls.thread;
    size_t size;
    if (ht_likely(b && t && t->books == b && b->mode == HT_MODE_EXACT && ht_exact_free(b, t, block, &size))) {
        if (ht_unlikely(ht_record_listen != NULL)) ht_record_listen(0, size);
        return;
    }
    ht_record_free(block);
}

// What the draws of this process begin with (HEAPTIDE_SEED, or random); before its first one.
void ht_record_seed(uint64_t seed);

#endif
