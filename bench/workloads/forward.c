// SPDX-License-Identifier: Apache-2.0
// The least that a preloaded library can do: forward to glibc through a pointer, as any next allocator would be reached. What it
// costs is the price of interposition; what a profiler adds to that is its own.
#include <stddef.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void __libc_free(void *);

static void *(*volatile next_malloc)(size_t) = __libc_malloc;
static void *(*volatile next_calloc)(size_t, size_t) = __libc_calloc;
static void *(*volatile next_realloc)(void *, size_t) = __libc_realloc;
static void (*volatile next_free)(void *) = __libc_free;

void *malloc(size_t size) { return next_malloc(size); }
void *calloc(size_t count, size_t each) { return next_calloc(count, each); }
void *realloc(void *old, size_t size) { return next_realloc(old, size); }
void free(void *block) { next_free(block); }
