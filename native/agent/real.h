// SPDX-License-Identifier: Apache-2.0
// real.h: the next allocator in line. Each pointer is callable from the first instruction on: until the next function is
// known it leads to one that finds it.
#ifndef HEAPTIDE_REAL_H
#define HEAPTIDE_REAL_H

#include "../sys.h"

struct ht_real {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*reallocarray)(void *, size_t, size_t); // NULL: the C library has none
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*malloc_usable_size)(void *);
    void (*free_sized)(void *, size_t);                 // NULL before glibc 2.43
    void (*free_aligned_sized)(void *, size_t, size_t); // likewise
    char *(*strdup)(const char *);
    char *(*strndup)(const char *, size_t);
};
extern struct ht_real ht_real;

extern bool ht_real_is_libc_reallocarray; // the next reallocarray is the C library's
extern bool ht_real_has_strdup;           // the next allocator brings its own, which does not come back through malloc

void ht_real_init(void);

// Blocks handed out while dlsym itself allocates. They are never given back.
bool ht_is_bootstrap(const void *block);
size_t ht_bootstrap_usable(const void *block);
void ht_bootstrap_mark(void); // in the filter, which was emptied

// Does the address lie in the object of the next allocator? Not where that is the C library. Asks nobody: the constructor
// has found it.
void ht_real_find_allocator(void);
bool ht_real_is_allocator(uint64_t pc);

// Is the next allocator the C library's own? Then blocks lie at least 32 bytes apart.
bool ht_real_is_libc(void);

// The next definition of a symbol after ours, or with `caller` the one that the caller's own object would use; NULL: none.
void *ht_real_find(const char *symbol, const void *caller);
// Does the function belong to the same object as the next malloc? (Then it does not come back through malloc.)
bool ht_real_same_object(const void *function);

#endif
