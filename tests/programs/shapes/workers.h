// SPDX-License-Identifier: Apache-2.0
// workers.h: threads that do their part of each step while the clock stands still.
#ifndef WORKERS_H
#define WORKERS_H

#include "shape.h"

#include <pthread.h>

struct worker {
    unsigned number;
    pthread_t thread;
    struct workers *workers;
    struct traffic traffic; // its own
    struct crowd *kept;
    unsigned todo;
};

struct workers {
    unsigned count;
    pthread_barrier_t begin, end;
    void (*step)(struct worker *worker);
    struct worker *all;
};

// They wait until the first workers_step(), and live as long as the program.
struct workers *workers_start(unsigned count, void (*step)(struct worker *worker));
void workers_step(struct workers *workers); // each does its step; returns when all have

#endif
