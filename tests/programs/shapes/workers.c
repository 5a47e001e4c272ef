// SPDX-License-Identifier: Apache-2.0
#include "workers.h"

static void *work(void *data) {
    struct worker *worker = data;
    sow(worker->number + 1);
    for (;;) {
        pthread_barrier_wait(&worker->workers->begin);
        worker->workers->step(worker);
        pthread_barrier_wait(&worker->workers->end);
    }
    return NULL;
}

struct workers *workers_start(unsigned count, void (*step)(struct worker *worker)) {
    struct workers *workers = notes(sizeof *workers);
    workers->count = count;
    workers->step = step;
    workers->all = notes(count * sizeof *workers->all);
    if (pthread_barrier_init(&workers->begin, NULL, count + 1) || pthread_barrier_init(&workers->end, NULL, count + 1))
        abort();
    for (unsigned i = 0; i < count; i++) {
        struct worker *worker = &workers->all[i];
        worker->number = i;
        worker->workers = workers;
        if (pthread_create(&worker->thread, NULL, work, worker)) abort();
    }
    return workers;
}

void workers_step(struct workers *workers) {
    pthread_barrier_wait(&workers->begin);
    pthread_barrier_wait(&workers->end);
}
