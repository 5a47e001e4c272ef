// SPDX-License-Identifier: Apache-2.0
// threads.c: four threads, each allocating in a function of its own, and a fifth that frees what the others hand it.
#define _GNU_SOURCE
#include "truth.h"
#include <pthread.h>

enum { WORKERS = 4, ROUNDS = 20000, KEEP_EVERY = 100, HAND_EVERY = 3, RING = 256 };

// What is handed over: single producer each, so one ring per worker.
struct parcel {
    void *block;
    size_t bytes;
};
static struct ring {
    struct parcel parcels[RING];
    unsigned written, taken;
    int closed;
} rings[WORKERS];

static void hand_over(struct ring *ring, struct parcel parcel) {
    while (ring->written - __atomic_load_n(&ring->taken, __ATOMIC_ACQUIRE) == RING) sched_yield();
    ring->parcels[ring->written % RING] = parcel;
    __atomic_store_n(&ring->written, ring->written + 1, __ATOMIC_RELEASE);
}

// One block's life: kept for ever, handed to the other thread, or freed here.
#define WORKER(name, number, size)                                                                                     \
    SITE static void name(int round) {                                                                                 \
        size_t bytes = hidden((size) + (size_t)round % 50);                                                            \
        void *block = malloc(bytes);                                                                                   \
        if (!block) abort();                                                                                           \
        memset(block, number, bytes);                                                                                  \
        took(bytes);                                                                                                   \
        KEEP(block);                                                                                                   \
        if (round % KEEP_EVERY == 0) return;                                                                           \
        if (round % HAND_EVERY == 0) {                                                                                 \
            hand_over(&rings[number], (struct parcel){block, bytes});                                                  \
            return;                                                                                                    \
        }                                                                                                              \
        free(block);                                                                                                   \
        gave(__func__, bytes);                                                                                         \
    }

WORKER(worker_north, 0, 16)
WORKER(worker_east, 1, 100)
WORKER(worker_south, 2, 700)
WORKER(worker_west, 3, 3000)

static void (*const workers[WORKERS])(int) = {worker_north, worker_east, worker_south, worker_west};
static const char *const names[WORKERS] = {"worker_north", "worker_east", "worker_south", "worker_west"};

static void *work(void *argument) {
    size_t number = (size_t)argument;
    for (int round = 0; round < ROUNDS; round++) workers[number](round);
    __atomic_store_n(&rings[number].closed, 1, __ATOMIC_RELEASE);
    return NULL;
}

// Frees one ring's parcels; 0 when its worker is done and nothing is left.
static int drain(size_t number) {
    struct ring *ring = &rings[number];
    int closed = __atomic_load_n(&ring->closed, __ATOMIC_ACQUIRE);
    while (ring->taken != __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE)) {
        struct parcel parcel = ring->parcels[ring->taken % RING];
        __atomic_store_n(&ring->taken, ring->taken + 1, __ATOMIC_RELEASE);
        free(parcel.block);
        gave(names[number], parcel.bytes);
    }
    return !closed;
}

static void *clear_away(void *argument) {
    for (int open = 1; open;) {
        open = 0;
        for (size_t i = 0; i < WORKERS; i++) open |= drain(i);
        sched_yield();
    }
    return argument;
}

int main(void) {
    pthread_t threads[WORKERS + 1];
    for (size_t i = 0; i < WORKERS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i) != 0) abort();
    if (pthread_create(&threads[WORKERS], NULL, clear_away, NULL) != 0) abort();
    for (int i = 0; i <= WORKERS; i++) pthread_join(threads[i], NULL);
    truth_write(TRUTH_STAYS);
    return 0;
}
