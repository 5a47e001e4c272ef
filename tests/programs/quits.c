// SPDX-License-Identifier: Apache-2.0
// quits.c: leaves by _exit, so that no handler and no destructor runs: what was in use is in use to the last.
#define _GNU_SOURCE
#include "truth.h"

static void *block;
static void never_runs(void) { free(block); }

SITE static void keeps(void) {
    block = malloc(hidden(123456));
    took(123456);
    KEEP(block);
}

SITE static void keeps_many(void) {
    for (int i = 0; i < 300; i++) {
        void *one = calloc(3, hidden(11));
        took(33);
        KEEP(one);
    }
}

int main(void) {
    atexit(never_runs);
    keeps();
    keeps_many();
    truth_write(TRUTH_STAYS);
    _exit(0);
}
