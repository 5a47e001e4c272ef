// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "real.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "live.h"

// ---- Before the next allocator is known ---------------------------------------------------------------------------------
//
// dlsym may allocate (its error text, for one). What it asks for meanwhile comes from a small static arena.

enum { ARENA_BYTES = 32768 };
static _Alignas(16) char arena[ARENA_BYTES];
// volatile: the headers promise that dlsym does not call back into this file ("leaf"); by way of malloc it does.
static volatile size_t arena_used;
static volatile bool resolving, resolved;

static void *arena_take(size_t alignment, size_t bytes) {
    if (!alignment || alignment > ARENA_BYTES || alignment & (alignment - 1)) return NULL;
    uint64_t base = (uint64_t)(uintptr_t)arena;
    size_t start = (size_t)(((base + arena_used + 16 + alignment - 1) & ~(uint64_t)(alignment - 1)) - base);
    if (bytes > ARENA_BYTES || start + bytes > ARENA_BYTES) return NULL;
    memcpy(arena + start - sizeof bytes, &bytes, sizeof bytes);
    arena_used = start + bytes;
    *ht_filter_of(arena + start) = 255; // so that free() looks at it twice
    return arena + start;
}

void ht_bootstrap_mark(void) {
    for (size_t at = 0; at < arena_used; at += 8) *ht_filter_of(arena + at) = 255;
}

bool ht_is_bootstrap(const void *block) { return (size_t)((const char *)block - arena) < ARENA_BYTES; }

size_t ht_bootstrap_usable(const void *block) {
    size_t bytes;
    memcpy(&bytes, (const char *)block - sizeof bytes, sizeof bytes);
    return bytes;
}

static bool must_use_arena(void) {
    if (!resolving) ht_real_init();
    return resolving;
}

static void *boot_malloc(size_t n) { return must_use_arena() ? arena_take(16, n) : ht_real.malloc(n); }
static void boot_free(void *p) {
    if (!must_use_arena()) ht_real.free(p);
}
static void *boot_calloc(size_t n, size_t each) {
    size_t bytes;
    if (!must_use_arena()) return ht_real.calloc(n, each);
    return __builtin_mul_overflow(n, each, &bytes) ? NULL : arena_take(16, bytes); // never used before: zero
}
static void *boot_realloc(void *old, size_t n) {
    if (!must_use_arena()) return ht_real.realloc(old, n);
    void *block = arena_take(16, n);
    if (block && old) {
        size_t had = ht_bootstrap_usable(old);
        memcpy(block, old, had < n ? had : n);
    }
    return block;
}
static int boot_posix_memalign(void **ret, size_t alignment, size_t n) {
    if (!must_use_arena()) return ht_real.posix_memalign(ret, alignment, n);
    *ret = arena_take(alignment, n);
    return *ret ? 0 : 12; // ENOMEM
}
static void *boot_aligned_alloc(size_t alignment, size_t n) {
    return must_use_arena() ? arena_take(alignment, n) : ht_real.aligned_alloc(alignment, n);
}
static void *boot_memalign(size_t alignment, size_t n) {
    return must_use_arena() ? arena_take(alignment, n) : ht_real.memalign(alignment, n);
}
static void *boot_valloc(size_t n) { return must_use_arena() ? arena_take(4096, n) : ht_real.valloc(n); }
static void *boot_pvalloc(size_t n) { return must_use_arena() ? arena_take(4096, n) : ht_real.pvalloc(n); }
static char *boot_strndup(const char *text, size_t most) {
    if (!must_use_arena()) return ht_real.strndup(text, most);
    size_t length = strnlen(text, most);
    char *copy = arena_take(16, length + 1); // never used before: it ends with zero
    return copy ? memcpy(copy, text, length) : NULL;
}
static char *boot_strdup(const char *text) {
    return must_use_arena() ? boot_strndup(text, SIZE_MAX) : ht_real.strdup(text);
}
static size_t boot_usable(void *p) { return must_use_arena() ? ht_bootstrap_usable(p) : ht_real.malloc_usable_size(p); }

struct ht_real ht_real = {
    .malloc = boot_malloc,
    .free = boot_free,
    .calloc = boot_calloc,
    .realloc = boot_realloc,
    .posix_memalign = boot_posix_memalign,
    .aligned_alloc = boot_aligned_alloc,
    .memalign = boot_memalign,
    .valloc = boot_valloc,
    .pvalloc = boot_pvalloc,
    .malloc_usable_size = boot_usable,
    .strdup = boot_strdup,
    .strndup = boot_strndup,
};

static const void *object_of(const void *function) {
    Dl_info info;
    return function && dladdr(function, &info) ? info.dli_fbase : NULL;
}

static bool is_in_libc(const void *function) { // gnu_get_libc_version is in libc alone
    return object_of(function) == object_of(dlsym(RTLD_NEXT, "gnu_get_libc_version"));
}

bool ht_real_is_libc_reallocarray, ht_real_has_strdup;

// A function that even the C library lacks cannot have been called by its callers either; NULL says so.
void ht_real_init(void) {
    if (resolved || resolving) return;
    resolving = true;
    struct ht_real next;
    next.malloc = dlsym(RTLD_NEXT, "malloc");
    next.free = dlsym(RTLD_NEXT, "free");
    next.calloc = dlsym(RTLD_NEXT, "calloc");
    next.realloc = dlsym(RTLD_NEXT, "realloc");
    next.reallocarray = dlsym(RTLD_NEXT, "reallocarray");
    next.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    next.aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    next.memalign = dlsym(RTLD_NEXT, "memalign");
    next.valloc = dlsym(RTLD_NEXT, "valloc");
    next.pvalloc = dlsym(RTLD_NEXT, "pvalloc");
    next.malloc_usable_size = dlsym(RTLD_NEXT, "malloc_usable_size");
    next.free_sized = dlsym(RTLD_NEXT, "free_sized");
    next.free_aligned_sized = dlsym(RTLD_NEXT, "free_aligned_sized");
    next.strdup = dlsym(RTLD_NEXT, "strdup");
    next.strndup = dlsym(RTLD_NEXT, "strndup");
    ht_real = next;
    ht_real_has_strdup =
        !is_in_libc((const void *)(uintptr_t)next.malloc) &&
        object_of((const void *)(uintptr_t)next.strdup) == object_of((const void *)(uintptr_t)next.malloc);
    ht_real_is_libc_reallocarray = next.reallocarray && is_in_libc((const void *)(uintptr_t)next.reallocarray);
    resolved = true;
    resolving = false;
}

// ---- Whose function is it? ------------------------------------------------------------------------------------------------

bool ht_real_same_object(const void *function) {
    ht_real_init();
    return object_of(function) == object_of((const void *)(uintptr_t)ht_real.malloc);
}

bool ht_real_is_libc(void) {
    ht_real_init();
    return is_in_libc((const void *)(uintptr_t)ht_real.malloc);
}

// The range of the next allocator's object, when that is not the C library. Found once: whoever maps memory may hold the
// allocator's own lock, under which the loader must not be asked anything.
static struct { uint64_t start, end; } allocator;

static int note_allocator(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    uint64_t pc = (uint64_t)(uintptr_t)ht_real.malloc, low = ~0ull, high = 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD) continue;
        uint64_t start = info->dlpi_addr + p->p_vaddr;
        if (start < low) low = start;
        if (start + p->p_memsz > high) high = start + p->p_memsz;
    }
    if (pc < low || pc >= high) return 0;
    allocator.start = low, allocator.end = high;
    return *(bool *)data = true;
}

void ht_real_find_allocator(void) {
    bool found = false;
    if (!ht_real_is_libc()) dl_iterate_phdr(note_allocator, &found);
}

bool ht_real_is_allocator(uint64_t pc) { return pc - allocator.start < allocator.end - allocator.start; }

// A library that was opened with RTLD_LOCAL is not in the global scope that RTLD_NEXT searches; its own scope holds what it
// was linked with.
static void *find_in_scope_of(const char *symbol, const void *caller) {
    Dl_info info;
    if (!caller || !dladdr(caller, &info) || !info.dli_fname) return NULL;
    void *handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle) return NULL;
    void *function = dlsym(handle, symbol); // the caller's object, then what it depends on
    dlclose(handle);                        // it was open before: only our count goes
    return function;
}

void *ht_real_find(const char *symbol, const void *caller) {
    return caller ? find_in_scope_of(symbol, caller) : dlsym(RTLD_NEXT, symbol);
}
