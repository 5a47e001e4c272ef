// SPDX-License-Identifier: Apache-2.0
// orphan.c: makes 16,384 stacks, each with a block that stays; says how much memory it has; waits for a line. As often as told.
#include "torture.h"

#include <time.h>

enum { DEPTH = 14 };

void *volatile kept;

static SITE void down(unsigned way, int depth) {
    if (depth == 0) {
        kept = malloc(500);
        free(malloc(500));
    } else if (way & 1) {
        down(way >> 1, depth - 1);
        __asm__ volatile("nop");
    } else {
        down(way >> 1, depth - 1);
        __asm__ volatile("");
    }
}

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv) {
    char line[256];
    int rounds = argc > 1 ? atoi(argv[1]) : 3;
    for (int round = 0; round < rounds; round++) {
        double before = cpu_ns();
        for (unsigned way = 0; way < 1u << DEPTH; way++) down(way, DEPTH);
        int ns_each = (int)((cpu_ns() - before) / (1 << DEPTH));
        FILE *status = fopen("/proc/self/status", "r");
        while (status && fgets(line, sizeof line, status))
            if (!strncmp(line, "Rss", 3)) printf("%s", line);
        if (status) fclose(status);
        printf("each: %d ns\n\n", ns_each);
        fflush(stdout);
        if (!fgets(line, sizeof line, stdin)) return 1;
    }
    return 0;
}
