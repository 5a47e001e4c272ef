// SPDX-License-Identifier: Apache-2.0
// signal_safe_malloc.c: an allocator to preload that may be interrupted anywhere and entered again: no lock, no state but one
// word per block. With it a handler may allocate in the middle of malloc, so whatever breaks then is the tool's fault.
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SMALL = 512, SLOTS = 1 << 16, LARGE_BYTES = 256 << 20 };

static _Alignas(64) char slots[SLOTS][SMALL];
static unsigned char taken[SLOTS];
static unsigned next_slot;
static char *large; // given out from the front, never given back: size before each block
static size_t large_used;

static char *large_space(void) {
    char *now = __atomic_load_n(&large, __ATOMIC_ACQUIRE);
    if (now) return now;
    char *fresh = mmap(NULL, LARGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!__atomic_compare_exchange_n(&large, &now, fresh, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        munmap(fresh, LARGE_BYTES);
        return now;
    }
    return fresh;
}

static void *take(size_t alignment, size_t size) {
    if (size <= SMALL && alignment <= 64) {
        for (int i = 0; i < SLOTS; i++) {
            unsigned n = __atomic_fetch_add(&next_slot, 1, __ATOMIC_RELAXED) % 1024; // soon used again: like a real one
            if (i > 4096) n = (unsigned)i;
            if (!__atomic_exchange_n(&taken[n], 1, __ATOMIC_ACQUIRE)) return slots[n];
        }
    }
    size_t room = (size + 2 * (alignment < 64 ? 64 : alignment)) & ~(size_t)63;
    size_t at = __atomic_fetch_add(&large_used, room, __ATOMIC_RELAXED);
    if (size > LARGE_BYTES || at + room > LARGE_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    uintptr_t start = (uintptr_t)large_space() + at + 64;
    start = (start + alignment - 1) & ~(uintptr_t)(alignment - 1);
    memcpy((char *)start - sizeof size, &size, sizeof size);
    return (void *)start;
}

static int is_small(const void *p) { return (uintptr_t)p - (uintptr_t)slots < sizeof slots; }

size_t malloc_usable_size(void *p) {
    size_t size = SMALL;
    if (p && !is_small(p)) memcpy(&size, (char *)p - sizeof size, sizeof size);
    return p ? size : 0;
}

void *malloc(size_t size) { return take(16, size); }

static void give_back(void *p) {
    if (p && is_small(p)) __atomic_store_n(&taken[((char *)p - slots[0]) / SMALL], 0, __ATOMIC_RELEASE);
}

void free(void *p) { give_back(p); }

void *calloc(size_t count, size_t each) {
    size_t size;
    void *p = __builtin_mul_overflow(count, each, &size) ? NULL : take(16, size);
    return p ? memset(p, 0, size) : NULL;
}

void *realloc(void *old, size_t size) {
    void *p = take(16, size);
    if (!p || !old) return p;
    size_t had = malloc_usable_size(old);
    memcpy(p, old, had < size ? had : size);
    give_back(old); // not by free, which is the tool's
    return p;
}

int posix_memalign(void **ret, size_t alignment, size_t size) {
    void *p = take(alignment, size);
    if (p) *ret = p;
    return p ? 0 : ENOMEM;
}

void *memalign(size_t alignment, size_t size) { return take(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return take(alignment, size); }
void *valloc(size_t size) { return take(4096, size); }
void *pvalloc(size_t size) { return take(4096, (size + 4095) & ~(size_t)4095); }
