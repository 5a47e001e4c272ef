// SPDX-License-Identifier: Apache-2.0
// sample_mapped.c: maps memory, some of it for good, starts threads, keeps blocks of many sizes: something for every part of
// the page to show. Runs for three seconds.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROUNDS = 300, PAGE = 4096, POOL = 64 };

static void *pool[POOL];

static void *map_pages(size_t pages) {
    char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(at, 1, pages * PAGE / 2);
    return at;
}

static void leak_a_mapping(int round) {
    if (round % 10 == 0) map_pages(16);
}

static void cache_of_mappings(int round) {
    int place = round % POOL;
    if (pool[place]) munmap(pool[place], 8 * PAGE);
    pool[place] = map_pages(8);
}

static void *blocks_of_many_sizes(void *unused) {
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t size = 16; size <= 65536; size *= 4) {
            char *block = malloc(size);
            memset(block, 2, size);
            if (round % 3) free(block); // a third stays
        }
        usleep(10000);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, blocks_of_many_sizes, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        leak_a_mapping(round);
        cache_of_mappings(round);
        usleep(10000);
    }
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    return 0;
}
