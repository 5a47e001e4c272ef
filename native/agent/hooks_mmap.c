// SPDX-License-Identifier: Apache-2.0
// hooks_mmap.c: the functions by which a program maps memory itself. The C library's own mappings (its heap, threads' stacks,
// loaded objects) do not come by here; those of another allocator do, and are left out.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "mapping.h"
#include "real.h"

static uint64_t whole_pages(size_t bytes) { return (bytes + 4095) & ~4095ull; }

static bool is_wanted(const struct ht_caller *caller) {
    struct ht_books *b = ht_books_now();
    return ht_mapping_on && b && ht_books_armed(b) && !ht_real_is_allocator(caller->pc);
}

// The next definitions in line, found by the constructor. Until then the kernel itself.
static struct {
    void *(*mmap)(void *, size_t, int, int, int, off_t);
    int (*munmap)(void *, size_t);
    void *(*mremap)(void *, size_t, size_t, int, ...);
    void *(*sbrk)(intptr_t);
    int (*brk)(void *);
} next;

void ht_mapping_find_next(void) {
    next.mmap = dlsym(RTLD_NEXT, "mmap");
    next.munmap = dlsym(RTLD_NEXT, "munmap");
    next.mremap = dlsym(RTLD_NEXT, "mremap");
    next.sbrk = dlsym(RTLD_NEXT, "sbrk");
    next.brk = dlsym(RTLD_NEXT, "brk");
}

static void *do_mmap(void *where, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (ht_likely(next.mmap)) return next.mmap(where, bytes, protection, flags, fd, offset);
    return (void *)syscall(SYS_mmap, where, bytes, protection, flags, fd, offset);
}

static int do_munmap(void *where, size_t bytes) {
    return ht_likely(next.munmap) ? next.munmap(where, bytes) : (int)syscall(SYS_munmap, where, bytes);
}

static void *do_mremap(void *old, size_t old_bytes, size_t new_bytes, int flags, void *where) {
    if (ht_likely(next.mremap)) return next.mremap(old, old_bytes, new_bytes, flags, where);
    return (void *)syscall(SYS_mremap, old, old_bytes, new_bytes, flags, where);
}

HT_EXPORT void *mmap(void *where, size_t bytes, int protection, int flags, int fd, off_t offset) {
    struct ht_caller caller = HT_CALLER();
    void *got = do_mmap(where, bytes, protection, flags, fd, offset);
    if (ht_mapping_on && got != MAP_FAILED && is_wanted(&caller))
        ht_mapping_added((uint64_t)(uintptr_t)got, whole_pages(bytes), &caller);
    return got;
}
HT_EXPORT void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

// Takes what is recorded in a range that is about to go. Of very many pieces all but the last few are counted at once.
static void take_all(uint64_t start, uint64_t bytes, struct ht_mapping_taken *ret) {
    ht_mapping_take(start, bytes, ret);
    while (ret->count == HT_MAPPING_PIECES) {
        ht_mapping_taken_is_free(ret);
        ht_mapping_take(start, bytes, ret);
    }
}

static bool is_range(uint64_t start, size_t bytes) { return bytes && !(start & 4095); } // else the kernel refuses

HT_EXPORT int munmap(void *where, size_t bytes) {
    struct ht_mapping_taken taken = {0};
    uint64_t start = (uint64_t)(uintptr_t)where;
    if (ht_unlikely(ht_mapping_on && is_range(start, bytes))) take_all(start, whole_pages(bytes), &taken);
    int failed = do_munmap(where, bytes);
    if (failed)
        ht_mapping_put_back(&taken);
    else
        ht_mapping_taken_is_free(&taken);
    return failed;
}

HT_EXPORT void *mremap(void *old, size_t old_bytes, size_t new_bytes, int flags, ...) {
    struct ht_caller caller = HT_CALLER();
    va_list more;
    va_start(more, flags);
    void *where = flags & MREMAP_FIXED ? va_arg(more, void *) : NULL;
    va_end(more);
    if (!ht_mapping_on) return do_mremap(old, old_bytes, new_bytes, flags, where);
    struct ht_mapping_taken taken;
    ht_mapping_take((uint64_t)(uintptr_t)old, whole_pages(old_bytes), &taken);
    void *got = do_mremap(old, old_bytes, new_bytes, flags, where);
    if (got == MAP_FAILED) {
        ht_mapping_put_back(&taken);
        return got;
    }
    ht_mapping_taken_is_free(&taken);
    if (is_wanted(&caller)) ht_mapping_added((uint64_t)(uintptr_t)got, whole_pages(new_bytes), &caller);
    return got;
}

// The program break as the program itself moves it. The allocator's own moves, inside the C library, are not seen.
static void break_moved(uint64_t before, uint64_t after, const struct ht_caller *caller) {
    struct ht_mapping_taken taken;
    if (after > before && is_wanted(caller)) ht_mapping_added(before, after - before, caller);
    if (after >= before) return;
    ht_mapping_take(after, before - after, &taken);
    ht_mapping_taken_is_free(&taken);
}

HT_EXPORT void *sbrk(intptr_t change) {
    struct ht_caller caller = HT_CALLER();
    if (!next.sbrk) ht_mapping_find_next();
    void *before = next.sbrk(change);
    if (ht_mapping_on && change && before != (void *)-1)
        break_moved((uint64_t)(uintptr_t)before, (uint64_t)(uintptr_t)before + (uint64_t)change, &caller);
    return before;
}

HT_EXPORT int brk(void *to) {
    struct ht_caller caller = HT_CALLER();
    if (!next.brk) ht_mapping_find_next();
    uint64_t before = ht_mapping_on ? (uint64_t)(uintptr_t)sbrk(0) : 0;
    int failed = next.brk(to);
    if (ht_mapping_on && !failed) break_moved(before, (uint64_t)(uintptr_t)to, &caller);
    return failed;
}
