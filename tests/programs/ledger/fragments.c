// SPDX-License-Identifier: Apache-2.0
// fragments.c: a heap in fragments. 300,000 blocks of 100 to 499 bytes, all written to, of which three in four are freed
// again; a block of 48 MiB of which a quarter is written to; 8 MiB of its own mapping. Says "ready" and waits for the end of
// its input. What its functions hold: keeps 22.4 MB, untouched 50.3 MB, maps 8.4 MB.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 300000, MIB = 1 << 20 };
static char *block[BLOCKS], *volatile kept[2];

__attribute__((noinline)) static void keeps(void) {
    for (int i = 0; i < BLOCKS; i++) {
        size_t size = 100 + (size_t)i * 37 % 400;
        block[i] = malloc(size);
        memset(block[i], 1, size);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (i % 4) free(block[i]);
}

__attribute__((noinline)) static void untouched(void) {
    kept[0] = malloc(48 * MIB);
    memset(kept[0], 1, 12 * MIB);
}

__attribute__((noinline)) static void maps(void) {
    kept[1] = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(kept[1], 1, 8 * MIB);
}

int main(void) {
    char byte;
    keeps();
    untouched();
    maps();
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {
    }
    return 0;
}
