// SPDX-License-Identifier: Apache-2.0
// killed.c: works, writes its count and kills itself with SIGKILL. With a number as argument that many threads are in the
// middle of malloc and free at that moment, in a function that is not part of the count.
#define _GNU_SOURCE
#include "truth.h"
#include <pthread.h>
#include <signal.h>

enum { BLOCKS = 5000 };

SITE static void keeps(size_t bytes) {
    void *block = malloc(hidden(bytes));
    if (!block) abort();
    took(bytes);
    KEEP(block);
}

SITE static void keeps_none(size_t bytes) {
    void *block = malloc(hidden(bytes));
    if (!block) abort();
    took(bytes);
    KEEP(block);
    free(block);
    gave(__func__, bytes);
}

// Holds nothing but for one block at most, the one in its hands when the signal strikes.
SITE static void churns(void) {
    void *block = malloc(hidden(64));
    KEEP(block);
    free(block);
}

static void *churn(void *argument) {
    for (;;) churns();
    return argument;
}

int main(int argc, char **argv) {
    for (int i = argc > 1 ? atoi(argv[1]) : 0; i > 0; i--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, churn, NULL) != 0) abort();
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        keeps(32 + i % 100);
        keeps_none(64 + i % 1000);
    }
    truth_write(TRUTH_STAYS);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}
