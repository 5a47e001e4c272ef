// SPDX-License-Identifier: Apache-2.0
// shim.c: the intercepted functions of C.
//
// Each has a fast path that only forwards. An allocation: one compare and one subtraction on the thread's own line, then a jump
// to the next allocator. A free: one byte of the filter. What the modes differ in is what those hold (docs/design/0001).
// The slow halves are reached by a jump, so the return address they see is the caller's.
#include "shim.h"

#include <errno.h>
#include <string.h>

#include "live.h"

HT_EXPORT void *malloc(size_t size) {
    if (ht_likely(ht_shim_forwards(size))) return ht_real.malloc(size);
    return ht_shim_malloc_slow(size);
}

// The caller's pc, sp and bp go by in registers: a struct would be written and read back at once, and sooner than the writes
// are through. malloc_anyhow may be reached by a jump, when the frame that they were read from is no more.

// The id of the caller's stack, if this is exact mode's usual case (exact.h); else 0.
static inline uint32_t usual_stack(struct ht_books *b, struct ht_thread *t, uint64_t pc, uint64_t sp, uint64_t bp) {
    if (ht_unlikely(!ht_exact_ready(t, b) || t->capturing || !ht_books_armed_as_started(b))) return 0;
    uint32_t id = ht_memo_known(&t->memo, pc, sp, bp);
    return id ? id : ht_stacks_capture_changed(b, t, pc, sp, bp);
}

static HT_NOINLINE void *malloc_anyhow(size_t size, uint64_t pc, uint64_t sp, uint64_t bp) {
    struct ht_caller caller = {pc, sp, bp};
    void *block = ht_real.malloc(ht_shim_ask(size));
    ht_shim_allocated(block, size, &caller);
    return block;
}

static HT_COLD void allocated_unusually(struct ht_books *b, void *block, size_t size, uint32_t id,
                                        const uint64_t *frame) {
    struct ht_caller caller = {frame[1], (uint64_t)(frame + 2), frame[0]};
    if (ht_books_now() != b) // a signal handler has forked, and this is the child
        ht_record_alloc(block, size, &caller);
    else
        ht_record_captured(b, block, size, id);
}

// The stack is found first, so that its counter is on its way while the allocator works.
HT_NOINLINE void *ht_shim_malloc_slow(size_t size) {
    const uint64_t *frame = __builtin_frame_address(0);
    uint64_t pc = frame[1], sp = (uint64_t)(frame + 2), bp = frame[0];
    struct ht_books *b = ht_books_now();
    struct ht_thread *t = ht_tls.thread;
    ht_tls.entries++;
    uint32_t id = usual_stack(b, t, pc, sp, bp);
    if (ht_unlikely(!id)) return malloc_anyhow(size, pc, sp, bp);
    struct ht_counter *counters = ht_exact_counters(b, t, id);
    ht_exact_expect(b, counters);
    void *block = ht_real.malloc(size);
    if (ht_unlikely(!block)) return NULL;
    if (ht_unlikely(ht_books_now() != b || !ht_exact_alloc(b, t, block, size, id, counters)))
        allocated_unusually(b, block, size, id, frame);
    if (ht_unlikely(ht_record_listen != NULL)) ht_record_listen(size, 0);
    return block;
}

HT_EXPORT void free(void *block) {
    if (ht_likely(!*ht_filter_of(block))) return ht_real.free(block);
    ht_shim_free_slow(block);
}

static HT_NOINLINE void free_anyhow(void *block) {
    if (ht_is_bootstrap(block)) return;
    ht_record_free(block);
    ht_real.free(block);
}

static HT_NOINLINE void free_and_tell(void *block, size_t size) {
    ht_record_listen(0, size);
    ht_real.free(block);
}

HT_NOINLINE void ht_shim_free_slow(void *block) {
    struct ht_books *b = ht_books_now();
    struct ht_thread *t = ht_tls.thread;
    size_t size;
    if (ht_unlikely(!ht_exact_ready(t, b) || !ht_exact_free(b, t, block, &size))) return free_anyhow(block);
    if (ht_unlikely(ht_record_listen != NULL)) return free_and_tell(block, size);
    ht_real.free(block);
}

static HT_NOINLINE void *calloc_slow(size_t count, size_t each) {
    struct ht_caller caller = HT_CALLER();
    ht_tls.entries++;
    size_t size;
    if (__builtin_mul_overflow(count, each, &size)) return ht_real.calloc(count, each);
    size_t ask = ht_shim_ask(size);
    void *block = ask == size ? ht_real.calloc(count, each) : ht_real.calloc(1, ask);
    ht_shim_allocated(block, size, &caller);
    return block;
}

HT_EXPORT void *calloc(size_t count, size_t each) {
    size_t size;
    if (ht_likely(!__builtin_mul_overflow(count, each, &size) && ht_shim_forwards(size)))
        return ht_real.calloc(count, each);
    return calloc_slow(count, each);
}

// ---- realloc --------------------------------------------------------------------------------------------------------------

static void *leave_bootstrap(const void *old, size_t size) {
    void *block = ht_real.malloc(ht_shim_ask(size));
    size_t had = ht_bootstrap_usable(old);
    if (block) memcpy(block, old, had < size ? had : size);
    return block;
}

static HT_NOINLINE void *realloc_slow(void *old, size_t size) {
    struct ht_caller caller = HT_CALLER();
    struct ht_block was;
    bool taken = false;
    void *block;
    if (old && ht_is_bootstrap(old)) {
        block = leave_bootstrap(old, size);
    } else {
        taken = old && ht_record_take(old, &was);
        block = ht_real.realloc(old, size ? ht_shim_ask(size) : 0);
    }
    if (taken && !block && size) ht_record_put_back(old, &was); // it failed: the old block lives on
    if (taken && (block || !size)) ht_record_taken_is_free(&was);
    ht_shim_allocated(block, size, &caller);
    return block;
}

HT_EXPORT void *realloc(void *old, size_t size) {
    if (ht_likely(!*ht_filter_of(old) && ht_shim_forwards(size))) return ht_real.realloc(old, size);
    return realloc_slow(old, size);
}

HT_EXPORT void *reallocarray(void *old, size_t count, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(count, each, &size)) {
        errno = ENOMEM;
        return NULL;
    }
    // The C library's own calls realloc by name, and so whichever realloc the program uses: ours, or one in front of ours.
    if (ht_likely(ht_real.reallocarray && ht_real_is_libc_reallocarray)) return ht_real.reallocarray(old, count, each);
    if (ht_likely(!*ht_filter_of(old) && ht_shim_forwards(size))) return ht_real.realloc(old, size);
    return realloc_slow(old, size);
}

// ---- Aligned --------------------------------------------------------------------------------------------------------------

static HT_NOINLINE int posix_memalign_slow(void **ret, size_t alignment, size_t size) {
    struct ht_caller caller = HT_CALLER();
    ht_tls.entries++;
    int failed = ht_real.posix_memalign(ret, alignment, ht_shim_ask(size));
    if (!failed) ht_shim_allocated(*ret, size, &caller);
    return failed;
}

HT_EXPORT int posix_memalign(void **ret, size_t alignment, size_t size) {
    if (ht_likely(ht_shim_forwards(size))) return ht_real.posix_memalign(ret, alignment, size);
    return posix_memalign_slow(ret, alignment, size);
}

static HT_NOINLINE void *aligned_slow(size_t alignment, size_t size, void *(*next)(size_t, size_t)) {
    struct ht_caller caller = HT_CALLER();
    ht_tls.entries++;
    void *block = next(alignment, ht_shim_ask(size));
    ht_shim_allocated(block, size, &caller);
    return block;
}

HT_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    if (ht_likely(ht_shim_forwards(size))) return ht_real.aligned_alloc(alignment, size);
    return aligned_slow(alignment, size, ht_real.aligned_alloc);
}

HT_EXPORT void *memalign(size_t alignment, size_t size) {
    if (ht_likely(ht_shim_forwards(size))) return ht_real.memalign(alignment, size);
    return aligned_slow(alignment, size, ht_real.memalign);
}

static HT_NOINLINE void *page_aligned_slow(size_t size, void *(*next)(size_t)) {
    struct ht_caller caller = HT_CALLER();
    ht_tls.entries++;
    void *block = next(size);
    ht_shim_allocated(block, size, &caller);
    return block;
}

HT_EXPORT void *valloc(size_t size) {
    if (ht_likely(ht_shim_forwards(size))) return ht_real.valloc(size);
    return page_aligned_slow(size, ht_real.valloc);
}

HT_EXPORT void *pvalloc(size_t size) {
    if (ht_likely(ht_shim_forwards(size))) return ht_real.pvalloc(size);
    return page_aligned_slow(size, ht_real.pvalloc);
}

// ---- The rest -------------------------------------------------------------------------------------------------------------

HT_EXPORT size_t malloc_usable_size(void *block) {
    if (block && ht_is_bootstrap(block)) return ht_bootstrap_usable(block);
    return ht_real.malloc_usable_size ? ht_real.malloc_usable_size(block) : 0;
}

// Where requests were raised, the size that the program tells is not the one that the allocator knows.
static void free_sized_next(void *block, size_t size) {
    if (ht_real.free_sized && !ht_live_least_request)
        ht_real.free_sized(block, size);
    else
        ht_real.free(block);
}

static HT_NOINLINE void free_sized_slow(void *block, size_t size) {
    if (ht_is_bootstrap(block)) return;
    ht_record_free(block);
    free_sized_next(block, size);
}

HT_EXPORT void free_sized(void *block, size_t size) {
    if (ht_likely(!*ht_filter_of(block))) return free_sized_next(block, size);
    free_sized_slow(block, size);
}

HT_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size) {
    if (ht_unlikely(*ht_filter_of(block))) {
        if (ht_is_bootstrap(block)) return;
        ht_record_free(block);
    }
    if (ht_real.free_aligned_sized && !ht_live_least_request)
        ht_real.free_aligned_sized(block, alignment, size);
    else
        ht_real.free(block);
}
