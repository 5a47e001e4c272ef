// SPDX-License-Identifier: Apache-2.0
// crowd THREADS GIB: THREADS threads, each of which allocates enough to be sampled, and a heap of GIB GiB in blocks of 1 MiB that
// are never touched. Prints the process's resident KiB while all of that is there. One arena and no huge pages, so that
// runs with and without a profiler differ by the profiler alone.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum { BLOCKS = 400, BLOCK = 8 << 10, MIB = 1 << 20 };

static pthread_barrier_t all_have_allocated, all_may_go;

static void *allocate(void *unused) {
    for (int i = 0; i < BLOCKS; i++) {
        void *block = malloc(BLOCK);
        __asm__ volatile("" ::"r"(block) : "memory");
        free(block);
    }
    pthread_barrier_wait(&all_have_allocated);
    pthread_barrier_wait(&all_may_go);
    return unused;
}

static long resident_kib(void) {
    char line[256];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1) break;
    if (status) fclose(status);
    return kib;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    unsigned threads = (unsigned)atoi(argv[1]);
    unsigned long blocks = strtoul(argv[2], NULL, 10) << 10;
    pthread_attr_t small;
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_MAX, 0);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    pthread_barrier_init(&all_have_allocated, NULL, threads + 1);
    pthread_barrier_init(&all_may_go, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, allocate, NULL)) return 2;
        pthread_detach(thread);
    }
    pthread_barrier_wait(&all_have_allocated);
    for (unsigned long i = 0; i < blocks; i++)
        if (!malloc(MIB - 64)) return 2;
    printf("%ld\n", resident_kib());
    fflush(stdout);
    pthread_barrier_wait(&all_may_go);
    return 0;
}
