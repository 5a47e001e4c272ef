// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "thread.h"

#include <pthread.h>

__thread struct ht_tls ht_tls __attribute__((tls_model("initial-exec"), visibility("hidden")));

static pthread_key_t key;
static bool have_key;
static struct ht_thread *free_list;
static uint32_t free_list_busy;

static bool try_lock(void) { return !__atomic_exchange_n(&free_list_busy, 1, __ATOMIC_ACQUIRE); }
static void unlock(void) { __atomic_store_n(&free_list_busy, 0, __ATOMIC_RELEASE); }

// Destructors are run in rounds, at most so many. The state stays until the last one, for other destructors may allocate. What is
// freed after that (by the C library itself) finds no state and is counted in the shared lane: nobody would give it back.
enum { ROUNDS = 4 }; // PTHREAD_DESTRUCTOR_ITERATIONS

static void thread_ends(void *data) {
    struct ht_thread *t = data;
    if (++ht_tls.ends < ROUNDS && pthread_setspecific(key, t) == 0) return;
    ht_tls.ends = ROUNDS;
    ht_tls.thread = NULL;
    ht_tls.left = 0;
    ht_tls.interval = 0;
    if (t->books && t->books == ht_books_now()) ht_books_return_lane(t->books, t->lane_number);
    t->books = NULL;
    for (int i = 0; i < 1000 && !try_lock(); i++) // contended for a thousand turns: its pages are lost, nobody waits
        if (i == 999) return;
    t->next_free = free_list;
    free_list = t;
    unlock();
}

bool ht_threads_init(void) {
    if (!have_key) have_key = pthread_key_create(&key, thread_ends) == 0;
    return have_key;
}

void ht_threads_after_fork(void) {
    free_list_busy = 0;
    if (ht_tls.thread) {
        ht_tls.thread->books = NULL;
        ht_tls.thread->capturing = false;
        ht_tls.thread->judging = 0;
        ht_tls.thread->memo.count = 0; // its ids were the parent's
    }
}

static HT_COLD struct ht_thread *make_thread(void) {
    struct ht_thread *t = NULL;
    if (ht_tls.ends == ROUNDS) return NULL;
    if (try_lock()) {
        t = free_list;
        if (t) free_list = t->next_free;
        unlock();
    }
    if (!t) {
        t = ht_sys_map(sizeof *t);
        if (!t) return NULL;
        ht_memory_used(HT_MEMORY_THREADS, sizeof *t);
    }
    t->capturing = false;
    t->judging = 0;
    t->memo.count = 0;
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
    t->memo.count = 0; // ids belong to books
    t->books = b;
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
