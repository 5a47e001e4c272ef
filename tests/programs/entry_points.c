// SPDX-License-Identifier: Apache-2.0
// entry_points.c: every C entry point that hands out a block, each in a function of its own: eight blocks, of which
// three are kept. Calls that must fail stand beside them and count for nothing.
#define _GNU_SOURCE
#include "truth.h"
#include <errno.h>
#include <malloc.h>
#include <stdint.h>

enum { BLOCKS = 8, KEPT = 3 };

// Counts a block for `site`, looks at it, and frees it unless it is one of the first KEPT.
static void keep_or_free(const char *site, void *block, size_t bytes, int i) {
    if (!block || malloc_usable_size(block) < bytes) abort();
    memset(block, i, bytes);
    took_by(site, bytes);
    KEEP(block);
    if (i < KEPT) return;
    free(block);
    gave(site, bytes);
}

SITE static void by_malloc(int i) {
    size_t bytes = hidden(100 + (size_t)i);
    keep_or_free(__func__, malloc(bytes), bytes, i);
}

SITE static void by_malloc_of_nothing(int i) { keep_or_free(__func__, malloc(hidden(0)), 0, i); }

SITE static void by_large_malloc(int i) {
    size_t bytes = hidden(1 << 20); // glibc takes these from mmap
    keep_or_free(__func__, malloc(bytes), bytes, i);
}

SITE static void by_calloc(int i) {
    size_t each = hidden(24 + (size_t)i);
    keep_or_free(__func__, calloc(7, each), 7 * each, i);
}

SITE static void by_reallocarray(int i) {
    size_t each = hidden(48 + (size_t)i);
    keep_or_free(__func__, reallocarray(NULL, 5, each), 5 * each, i);
}

SITE static void by_posix_memalign(int i) {
    void *block = NULL;
    size_t bytes = hidden(300 + (size_t)i);
    if (posix_memalign(&block, 256, bytes) != 0 || (uintptr_t)block % 256) abort();
    keep_or_free(__func__, block, bytes, i);
}

SITE static void by_aligned_alloc(int i) {
    size_t bytes = hidden(512);
    keep_or_free(__func__, aligned_alloc(128, bytes), bytes, i);
}

SITE static void by_memalign(int i) {
    size_t bytes = hidden(70 + (size_t)i);
    keep_or_free(__func__, memalign(64, bytes), bytes, i);
}

SITE static void by_valloc(int i) {
    size_t bytes = hidden(900 + (size_t)i);
    keep_or_free(__func__, valloc(bytes), bytes, i);
}

SITE static void by_pvalloc(int i) {
    size_t bytes = hidden(8192); // whole pages, so that what is asked for and what is rounded up are the same
    keep_or_free(__func__, pvalloc(bytes), bytes, i);
}

// Everything here fails and leaves errno as the standard says; a profiler must count none of it.
SITE static void fails(void) {
    void *block = NULL;
    void *kept = malloc(hidden(64));
    took(64);
    errno = 0;
    if (malloc(hidden(PTRDIFF_MAX)) || errno != ENOMEM) abort();
    if (calloc(hidden(SIZE_MAX / 2), 4)) abort();
    if (reallocarray(NULL, hidden(SIZE_MAX / 2), 4)) abort();
    if (realloc(kept, hidden(PTRDIFF_MAX))) abort(); // and kept is still there
    if (posix_memalign(&block, 3, hidden(64)) != EINVAL || block) abort();
    if (posix_memalign(&block, 64, hidden(PTRDIFF_MAX)) != ENOMEM || block) abort();
    KEEP(kept);
}

SITE static void frees_nothing(void) {
    errno = EDOM;
    free((void *)hidden(0));
    if (errno != EDOM) abort();
}

int main(void) {
    for (int i = 0; i < BLOCKS; i++) {
        by_malloc(i);
        by_malloc_of_nothing(i);
        by_large_malloc(i);
        by_calloc(i);
        by_reallocarray(i);
        by_posix_memalign(i);
        by_aligned_alloc(i);
        by_memalign(i);
        by_valloc(i);
        by_pvalloc(i);
    }
    fails();
    frees_nothing();
    truth_write(TRUTH_STAYS);
    return 0;
}
