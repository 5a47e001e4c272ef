// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "thread.h"

#include <pthread.h>

#include "live.h"

__thread struct ht_tls ht_tls __attribute__((tls_model("initial-exec"), visibility("hidden")));

static pthread_key_t key;
static bool have_key;

// States of threads that ended, for those to come: a stack without a lock, which a signal handler may interrupt or leave at
// any point. The upper 16 bits of the head count, so that one who comes late does not take what was taken and given back
// meanwhile. What was once in it is never unmapped.
enum { POINTER_BITS = 48 };
static uint64_t free_list;

static struct ht_thread *first_of(uint64_t head) {
    return (struct ht_thread *)(uintptr_t)(head & ((1ull << POINTER_BITS) - 1));
}

static bool put_first(uint64_t *head, const struct ht_thread *first) {
    uint64_t fresh = ((*head >> POINTER_BITS) + 1) << POINTER_BITS | (uint64_t)(uintptr_t)first;
    return __atomic_compare_exchange_n(&free_list, head, fresh, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void give(struct ht_thread *t) {
    uint64_t head = __atomic_load_n(&free_list, __ATOMIC_ACQUIRE);
    do __atomic_store_n(&t->next_free, first_of(head), __ATOMIC_RELAXED);
    while (!put_first(&head, t));
}

static struct ht_thread *take(void) {
    uint64_t head = __atomic_load_n(&free_list, __ATOMIC_ACQUIRE);
    while (first_of(head) && !put_first(&head, __atomic_load_n(&first_of(head)->next_free, __ATOMIC_RELAXED))) {
    }
    return first_of(head);
}

// Destructors are run in rounds, at most so many. The state stays until the last one, for other destructors may allocate. What is
// freed after that (by the C library itself) finds no state and is counted in the shared lane: nobody would give it back.
enum { ROUNDS = 4 }; // PTHREAD_DESTRUCTOR_ITERATIONS

static void thread_ends(void *data) {
    struct ht_thread *t = data;
    if (++ht_tls.ends < ROUNDS && pthread_setspecific(key, t) == 0) return;
    ht_tls.ends = ROUNDS;
    if (t->books) ht_log_left(t->books, t);
    ht_tls.thread = NULL;
    ht_tls.left = 0;
    ht_tls.interval = 0;
    if (t->books && t->books == ht_books_now()) ht_books_return_lane(t->books, t->lane_number);
    t->books = NULL;
    t->fast = HT_NO_BOOKS;
    give(t);
}

static void forget_left_room(struct ht_thread *t) { t->reserved[0].bytes = t->reserved[1].bytes = 0; }

bool ht_threads_init(void) {
    if (!have_key) have_key = pthread_key_create(&key, thread_ends) == 0;
    return have_key;
}

void ht_threads_after_fork(void) {
    if (ht_tls.thread) {
        ht_tls.thread->books = NULL;
        ht_tls.thread->fast = HT_NO_BOOKS;
        ht_tls.thread->capturing = false;
        ht_tls.thread->judging = 0;
        forget_left_room(ht_tls.thread);
        ht_memo_forget(&ht_tls.thread->memo); // its ids were the parent's
    }
}

static HT_COLD struct ht_thread *make_thread(void) {
    if (ht_tls.ends == ROUNDS) return NULL;
    struct ht_thread *t = take();
    if (!t) {
        t = ht_sys_map(sizeof *t);
        if (!t) return NULL;
        ht_memory_used(HT_MEMORY_THREADS, sizeof *t);
    }
    t->fast = HT_NO_BOOKS;
    t->capturing = false;
    t->judging = 0;
    forget_left_room(t);
    ht_memo_forget(&t->memo);
    ht_tls.thread = t;
    if (have_key) pthread_setspecific(key, t); // may allocate: by now this thread has its state
    return t;
}

HT_COLD struct ht_thread *ht_thread_join(struct ht_books *b) {
    struct ht_thread *t = ht_tls.thread ? ht_tls.thread : make_thread();
    if (!t || t->books == b) return t;
    t->lane_number = ht_books_take_lane(b, (uint64_t)ht_sys_gettid());
    t->lane = ht_books_lane(b, t->lane_number);
    t->operation_sp = 0;
    t->sample_left = b->header->sample_slots ? -1 : INT64_MAX;
    t->sample_interval = 0;
    ht_memo_forget(&t->memo); // ids belong to books
    t->books = b;
    t->fast = t->lane_number && ht_live_is_plain() && !b->starts_disarmed ? b : HT_NO_BOOKS;
    return t;
}

void ht_operation_add_double(const struct ht_operation *o, double *sum, double value) {
    if (!o->shared) {
        *sum += value;
        return;
    }
    double old = *sum, new;
    do new = old + value;
    while (!__atomic_compare_exchange(sum, &old, &new, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}
