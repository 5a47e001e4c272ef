// SPDX-License-Identifier: Apache-2.0
// shim_cxx.c: C++ new and delete. Most definitions, libstdc++'s first of all, call malloc and free: those we only pass on by
// a jump, and the block is recorded when their malloc comes by. Allocators that bring operators of their own (tcmalloc, jemalloc,
// mimalloc) do not come back: there the operator itself is recorded. Which it is, the object that defines it says.
#include "modules.h"
#include "rules.h"
#include "shim.h"

enum known { NOTHING_KNOWN, TO_BE_TRIED, KNOWN };
struct next {
    void *function; // of the global scope, once all is known; NULL: there is none
    void *candidate;
    enum known known;
    bool direct; // does not come back through malloc
};

static HT_COLD void learn(struct next *n, bool direct) {
    n->direct = direct;
    n->known = KNOWN;
    __atomic_store_n(&n->function, n->candidate, __ATOMIC_RELEASE);
}

// An operator of another object than the allocator's comes back through malloc. One of the allocator's own may or may not
// (jemalloc's aligned ones do): its first call tells.
static HT_COLD void find_next(struct next *n, const char *name) {
    n->candidate = ht_real_find(name, NULL);
    n->known = TO_BE_TRIED;
    if (!n->candidate || !ht_real_same_object(n->candidate)) learn(n, false);
}

// A delete that comes back through free does no harm: the block is in no book any more then.
static HT_COLD void find_next_delete(struct next *n, const char *name) {
    n->candidate = ht_real_find(name, NULL);
    learn(n, n->candidate && ht_real_same_object(n->candidate));
}

// The slow paths of malloc and its like are entered, and counted, until `left` is drawn again.
static uint32_t begin_trial(void) {
    ht_tls.left = 0;
    ht_tls.interval = 0;
    return ht_tls.entries;
}

// Without a definition in the global scope each object has its own, or its own library's: a plugin that was opened with
// RTLD_LOCAL, say. What was found for an object is kept until something is closed.
struct found {
    uint64_t object, meaning; // start of the object; ht_rules_generation
    const char *name;
    void *function;
};
enum { FOUND = 64 };
static struct found found[FOUND];
static uint32_t found_busy;

static struct found *found_at(uint64_t object, const char *name) {
    return &found[(object >> 12 ^ (uint64_t)(uintptr_t)name) * 0x9e3779b97f4a7c15ull >> 58];
}

static HT_COLD void *find_for(const char *name, uint64_t caller) {
    uint64_t meaning = __atomic_load_n(&ht_rules_generation, __ATOMIC_ACQUIRE), object = ht_modules_start_of(caller);
    struct found wanted = {object, meaning, name, NULL}, *at = found_at(object, name);
    bool mine = !__atomic_exchange_n(&found_busy, 1, __ATOMIC_ACQUIRE), hit = false;
    if (mine) hit = object && at->object == object && at->meaning == meaning && at->name == name;
    if (hit) wanted = *at;
    if (mine) __atomic_store_n(&found_busy, 0, __ATOMIC_RELEASE);
    if (hit) return wanted.function;
    wanted.function = ht_real_find(name, (const void *)caller); // not under our lock: the loader has locks of its own
    if (!object || __atomic_exchange_n(&found_busy, 1, __ATOMIC_ACQUIRE)) return wanted.function;
    *at = wanted;
    __atomic_store_n(&found_busy, 0, __ATOMIC_RELEASE);
    return wanted.function;
}

// No definition anywhere: a program that has no C++ library loads one that keeps its own to itself. Do what theirs would.
static HT_COLD void *without_next(size_t size, size_t alignment, bool may_throw, uint64_t caller) {
    void *block = NULL;
    if (alignment && alignment < sizeof(void *)) alignment = sizeof(void *);
    if (alignment ? ht_real.posix_memalign(&block, alignment, size) == 0 : (block = ht_real.malloc(size)) != NULL)
        return block;
    void (*throw_bad_alloc)(void) = may_throw ? ht_real_find("_ZSt17__throw_bad_allocv", (const void *)caller) : NULL;
    if (throw_bad_alloc) throw_bad_alloc();
    return NULL;
}

#define OPERATOR_NEW(name, may_throw, alignment, params, ...)                                                          \
    static struct next next_##name;                                                                                    \
    static HT_COLD void *try_##name params {                                                                           \
        void *(*next)params = next_##name.candidate;                                                                   \
        uint32_t entries = begin_trial();                                                                              \
        void *block = next(__VA_ARGS__); /* may throw: then the next call is the trial */                              \
        learn(&next_##name, ht_tls.entries == entries);                                                                \
        return block;                                                                                                  \
    }                                                                                                                  \
    static HT_NOINLINE void *slow_##name params {                                                                      \
        struct ht_caller caller = HT_CALLER();                                                                         \
        if (next_##name.known == NOTHING_KNOWN) find_next(&next_##name, #name);                                        \
        bool trial = next_##name.known == TO_BE_TRIED;                                                                 \
        void *(*next)params = trial ? try_##name : next_##name.function;                                               \
        if (!next) next = find_for(#name, caller.pc);                                                                  \
        if (next && !trial && !next_##name.direct) return next(__VA_ARGS__);                                           \
        size_t wanted = size;                                                                                          \
        size = ht_shim_ask(size);                                                                                      \
        void *block = next ? next(__VA_ARGS__) : without_next(size, alignment, may_throw, caller.pc);                  \
        if (!trial || next_##name.direct) ht_shim_allocated(block, wanted, &caller);                                   \
        return block;                                                                                                  \
    }                                                                                                                  \
    HT_EXPORT void *name params;                                                                                       \
    HT_EXPORT void *name params {                                                                                      \
        void *(*next)params = __atomic_load_n(&next_##name.function, __ATOMIC_ACQUIRE);                                \
        if (ht_likely(next && (!next_##name.direct || ht_shim_forwards(size)))) return next(__VA_ARGS__);              \
        return slow_##name(__VA_ARGS__);                                                                               \
    }

#define OPERATOR_DELETE(name, params, ...)                                                                             \
    static struct next next_##name;                                                                                    \
    static HT_NOINLINE void slow_##name params {                                                                       \
        struct ht_caller caller = HT_CALLER();                                                                         \
        if (next_##name.known == NOTHING_KNOWN) find_next_delete(&next_##name, #name);                                 \
        void(*next) params = next_##name.function ? next_##name.function : find_for(#name, caller.pc);                 \
        if (next && !next_##name.direct) return next(__VA_ARGS__);                                                     \
        if (ht_is_bootstrap(block)) return;                                                                            \
        if (*ht_filter_of(block)) ht_record_free(block);                                                               \
        if (!next || ht_live_least_request) return ht_real.free(block);                                                \
        next(__VA_ARGS__);                                                                                             \
    }                                                                                                                  \
    HT_EXPORT void name params;                                                                                        \
    HT_EXPORT void name params {                                                                                       \
        void(*next) params = __atomic_load_n(&next_##name.function, __ATOMIC_ACQUIRE);                                 \
        if (ht_likely(next && (!next_##name.direct || !*ht_filter_of(block)))) return next(__VA_ARGS__);               \
        slow_##name(__VA_ARGS__);                                                                                      \
    }

#include "operators.def"
