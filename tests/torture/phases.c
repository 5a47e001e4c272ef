// SPDX-License-Identifier: Apache-2.0
// phases.c: allocates 1,000 blocks of 1,000 bytes, says so, and waits for a line; three times.
#include <stdio.h>
#include <stdlib.h>

static void *volatile kept;

__attribute__((noinline)) static void phase(void) {
    for (int i = 0; i < 1000; i++) kept = malloc(1000);
}

int main(void) {
    char line[8];
    for (int i = 1; i <= 3; i++) {
        phase();
        printf("%d\n", i);
        fflush(stdout);
        if (i < 3 && !fgets(line, sizeof line, stdin)) return 1;
    }
    return 0;
}
