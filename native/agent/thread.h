// SPDX-License-Identifier: Apache-2.0
// thread.h: what the agent keeps for a thread, and the window of one operation in the books.
#ifndef HEAPTIDE_THREAD_H
#define HEAPTIDE_THREAD_H

#include "books.h"
#include "memo.h"
#include "unwind.h"

// Correct when zeroed: a thread's first allocation takes the slow path, which finds out what is to be done.
struct ht_tls {
    size_t left;       // bytes until the next sample; an allocation of n with n < left takes the fast path
    uint64_t interval; // the mean interval `left` was drawn with; 0: nothing drawn yet
    uint64_t random;   // the generator's state; 0: not seeded
    struct ht_thread *thread;
    uint32_t entries; // into the slow paths of malloc and its like; see shim_cxx.c
    uint32_t ends;    // how often this thread's end was announced
};
extern __thread struct ht_tls ht_tls __attribute__((tls_model("initial-exec"), visibility("hidden")));

// A dormant thread looks again whether there is something to do after this many bytes.
enum { HT_DORMANT_BYTES = 64 << 10 };

struct ht_reserved {         // room in the log, until what stands in it is published; see ht_log_left
    uint64_t bytes;          // 0: none
    uint64_t from, position; // what lies between them is padding
    uint64_t asked_ns;       // when it was first asked whether it was reserved at all
    bool is_ours;            // it was
};

static inline bool ht_has_left_room(const struct ht_reserved both[2]) { return both[0].bytes | both[1].bytes; }

struct ht_thread {
    const struct ht_books *fast; // books with which exact.h may be used; else HT_NO_BOOKS, which is no books' address
    struct ht_books *books;      // whose lane it holds
    struct ht_lane *lane;
    uint32_t lane_number;           // 0: shared with other threads
    uint64_t operation_sp;          // stack pointer of the operation under way, see ht_operation_begin
    int64_t sample_left;            // exact mode: bytes until the next live sample; below zero: it is due
    uint64_t sample_interval;       // the mean interval that was drawn with; 0: nothing was yet
    struct ht_reserved reserved[2]; // the one at hand; and one that was left, while it is in doubt whether it ever was
    struct ht_thread *next_free;
    bool capturing;   // a capture is under way, or was left by longjmp
    uint32_t judging; // the same of the question which of the two it is; counts how often it was in the way
    struct ht_unwind_scratch scratch, judge;
    struct ht_memo memo; // large, but only the pages of frames in use are ever touched
};

#define HT_NO_BOOKS ((const struct ht_books *)8)

bool ht_threads_init(void);
HT_COLD struct ht_thread *ht_thread_join(struct ht_books *b);
// This thread's state, with a lane of the books `b`; NULL: no memory.
static inline struct ht_thread *ht_thread_now(struct ht_books *b) {
    struct ht_thread *t = ht_tls.thread;
    return ht_likely(t && t->books == b) ? t : ht_thread_join(b);
}
void ht_threads_after_fork(void);

// ---- The window of an operation ---------------------------------------------------------------------------------------
//
// It covers the counter and the block's record, never the real malloc or free. A signal handler may begin an operation
// inside another one: it is part of that one's window. A handler may also leave by longjmp; then the abandoned operation's
// stack pointer lies below ours, and the window is ours.
struct ht_operation {
    struct ht_lane *lane;
    unsigned buffer, parity;
    bool shared, outermost;
};

static inline void ht_operation_begin(struct ht_books *b, struct ht_thread *t, struct ht_operation *ret) {
    uint64_t sp = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    ret->lane = t ? t->lane : ht_books_lane(b, 0);
    ret->shared = !t || t->lane_number == 0;
    uint64_t epoch = __atomic_load_n(&b->control->epoch, __ATOMIC_ACQUIRE);
    if (ret->shared) {
        for (;;) { // locked adds are full barriers: the second look decides
            ret->parity = epoch & 1;
            __atomic_fetch_add(&ret->lane->inside[ret->parity], 1, __ATOMIC_SEQ_CST);
            uint64_t again = __atomic_load_n(&b->control->epoch, __ATOMIC_ACQUIRE);
            if (again == epoch) break;
            __atomic_fetch_sub(&ret->lane->inside[ret->parity], 1, __ATOMIC_SEQ_CST);
            epoch = again;
        }
    } else {
        uint64_t seq = ret->lane->seq;
        ret->outermost = !(seq & 1) || sp > t->operation_sp;
        if (ret->outermost) {
            t->operation_sp = sp;
            __atomic_store_n(&ret->lane->seq, seq + 1 + (seq & 1), __ATOMIC_RELAXED);
        }
        ht_compiler_barrier(); // the recorder's membarrier orders this store before the load
        epoch = __atomic_load_n(&b->control->epoch, __ATOMIC_ACQUIRE);
    }
    ret->buffer = (unsigned)(epoch & 1) | (unsigned)__atomic_load_n(&ht_gate->phase, __ATOMIC_RELAXED);
}

// Even, whatever it was: a handler on a stack above ours takes our window for an abandoned one and closes it before us.
static inline uint64_t ht_seq_at_rest(uint64_t seq) { return (seq | 1) + 1; }

static inline void ht_operation_end(const struct ht_operation *o) {
    if (o->shared)
        __atomic_fetch_sub(&o->lane->inside[o->parity], 1, __ATOMIC_SEQ_CST);
    else if (o->outermost)
        __atomic_store_n(&o->lane->seq, ht_seq_at_rest(o->lane->seq), __ATOMIC_RELEASE);
}

static inline void ht_operation_add(const struct ht_operation *o, uint64_t *counter, uint64_t n) {
    if (ht_unlikely(o->shared))
        __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
    else
        ht_add_local(counter, n);
}

// Adds to a sum of doubles that only this lane writes, or, in the shared lane, many do.
void ht_operation_add_double(const struct ht_operation *o, double *sum, double value);

#endif
