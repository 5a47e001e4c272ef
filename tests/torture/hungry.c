// SPDX-License-Identifier: Apache-2.0
// hungry.c: takes as many MiB as told, in blocks of 64 KiB, and touches them; says so, and waits for a line; then takes 100,000
// bytes more in blocks of 1,000.
#include "torture.h"

void *volatile kept;

int main(int argc, char **argv) {
    char line[8];
    long blocks = argc > 1 ? atol(argv[1]) * 16 : 0;
    for (long i = 0; i < blocks; i++) {
        kept = malloc(64 << 10);
        if (kept) memset(kept, 0x5a, 64 << 10);
    }
    printf("full\n");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) return 1;
    for (int i = 0; i < 100; i++) kept = malloc(1000);
    return 0;
}
