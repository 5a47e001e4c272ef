// SPDX-License-Identifier: Apache-2.0
// shim.h: what the intercepted functions of C and C++ share.
#ifndef HEAPTIDE_SHIM_H
#define HEAPTIDE_SHIM_H

#include "live.h"
#include "real.h"
#include "record.h"
#include "thread.h"

// The fast path's question, and its whole cost: does this allocation reach no sampling point?
static inline bool ht_shim_forwards(size_t size) {
    size_t left; // size + 1 is 0 for the largest size, which nobody gets
    if (ht_unlikely(__builtin_sub_overflow(ht_tls.left, size + 1, &left))) return false;
    ht_tls.left = left;
    return true;
}

// What to ask the next allocator for, so that blocks lie far enough apart for the page map (live.h).
static inline size_t ht_shim_ask(size_t size) {
    return ht_unlikely(size < ht_live_least_request) ? ht_live_least_request : size;
}

static inline void ht_shim_allocated(const void *block, size_t size, const struct ht_caller *caller) {
    if (!ht_shim_forwards(size)) ht_record_alloc(block, size, caller); // a slow path may have been taken for a free
}

void *ht_shim_malloc_slow(size_t size);
void ht_shim_free_slow(void *block);

#endif
