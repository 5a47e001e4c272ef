// SPDX-License-Identifier: Apache-2.0
// shim_cxx.c: C++ new and delete. Most definitions, libstdc++'s first of all, call malloc and free: those we only pass on by
// a jump, and the block is recorded when their malloc comes by. Allocators that bring operators of their own (tcmalloc, jemalloc,
// mimalloc) do not come back: there the operator itself is recorded. Which it is, the object that defines it says.
#include "shim.h"

struct next {
    void *function;
    bool direct; // does not come back through malloc
};

static HT_COLD void find_next(struct next *n, const char *name, uint64_t caller) {
    void *function = ht_real_find(name, (const void *)caller);
    n->direct = function && ht_real_same_object(function);
    __atomic_store_n(&n->function, function, __ATOMIC_RELEASE);
}

// No definition anywhere: a program that has no C++ library loads one that keeps its own to itself. Do what theirs would.
static HT_COLD void *without_next(size_t size, size_t alignment, bool may_throw, uint64_t caller) {
    void *block = NULL;
    if (alignment ? ht_real.posix_memalign(&block, alignment, size) == 0 : (block = ht_real.malloc(size)) != NULL)
        return block;
    void (*throw_bad_alloc)(void) = may_throw ? ht_real_find("_ZSt17__throw_bad_allocv", (const void *)caller) : NULL;
    if (throw_bad_alloc) throw_bad_alloc();
    return NULL;
}

#define OPERATOR_NEW(name, may_throw, alignment, params, ...)                                                          \
    static struct next next_##name;                                                                                    \
    static HT_NOINLINE void *slow_##name params {                                                                      \
        struct ht_caller caller = HT_CALLER();                                                                         \
        if (!next_##name.function) find_next(&next_##name, #name, caller.pc);                                          \
        void *(*next)params = next_##name.function;                                                                    \
        if (next && !next_##name.direct) return next(__VA_ARGS__);                                                     \
        size_t wanted = size;                                                                                          \
        size = ht_shim_ask(size);                                                                                      \
        void *block = next ? next(__VA_ARGS__) : without_next(size, alignment, may_throw, caller.pc);                  \
        ht_shim_allocated(block, wanted, &caller);                                                                     \
        return block;                                                                                                  \
    }                                                                                                                  \
    HT_EXPORT void *name params;                                                                                       \
    HT_EXPORT void *name params {                                                                                      \
        void *(*next)params = __atomic_load_n(&next_##name.function, __ATOMIC_ACQUIRE);                                \
        if (ht_likely(next && (!next_##name.direct || ht_shim_forwards(size)))) return next(__VA_ARGS__);              \
        return slow_##name(__VA_ARGS__);                                                                               \
    }

#define OPERATOR_DELETE(name, sized, params, ...)                                                                      \
    static struct next next_##name;                                                                                    \
    static HT_NOINLINE void slow_##name params {                                                                       \
        struct ht_caller caller = HT_CALLER();                                                                         \
        if (!next_##name.function) find_next(&next_##name, #name, caller.pc);                                          \
        void(*next) params = next_##name.function;                                                                     \
        if (next && !next_##name.direct) return next(__VA_ARGS__);                                                     \
        if (ht_is_bootstrap(block)) return;                                                                            \
        if (*ht_filter_of(block)) ht_record_free(block);                                                               \
        if (!next || (sized && ht_live_least_request)) return ht_real.free(block);                                     \
        next(__VA_ARGS__);                                                                                             \
    }                                                                                                                  \
    HT_EXPORT void name params;                                                                                        \
    HT_EXPORT void name params {                                                                                       \
        void(*next) params = __atomic_load_n(&next_##name.function, __ATOMIC_ACQUIRE);                                 \
        if (ht_likely(next && (!next_##name.direct || !*ht_filter_of(block)))) return next(__VA_ARGS__);               \
        slow_##name(__VA_ARGS__);                                                                                      \
    }

#include "operators.def"
