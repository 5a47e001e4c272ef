// SPDX-License-Identifier: Apache-2.0
// stalls SECONDS STACKS RESIDENT_MIB PAUSE_US: how long does a thread wait in malloc, free, mmap and munmap at worst?
//
// One thread replaces blocks below STACKS distinct stacks, in a process of RESIDENT_MIB of touched memory, and times each
// pair of calls; another maps and unmaps, and times that. Calls in which the thread was preempted do not count. PAUSE_US is
// slept after every 64 pairs. Prints, for either thread, the median of each second's longest and the longest of all, in
// microseconds. The stacks are made known before the clock starts, slowly, for a recorder has to keep up with them.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SECONDS = 600, BURST = 64, WARM_UP_US = 500, WORTH_A_LOOK_NS = 5000, MAPPED = 256 << 10 };

static void **slots;
static unsigned long stacks;
static unsigned pause_us;
static uint64_t begin_ns, end_ns;
static __thread long preemptions_known;

struct longest {
    uint64_t each[MAX_SECONDS];
};
static struct longest of_malloc, of_mapping;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long preemptions(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

// A thread that lost its CPU to another was not kept waiting by what it called: that would be a voluntary switch.
static bool was_preempted(void) {
    long before = preemptions_known;
    preemptions_known = preemptions();
    return preemptions_known != before;
}

static void note(struct longest *l, uint64_t began, uint64_t ended) {
    uint64_t second = (began - begin_ns) / 1000000000u, took = ended - began;
    if (began < begin_ns || second >= MAX_SECONDS || took <= l->each[second]) return;
    if (took < WORTH_A_LOOK_NS || !was_preempted()) l->each[second] = took;
}

// ---- Distinct stacks: one bit of the path decides each call ------------------------------------------------------------------

static void walk(unsigned long path, unsigned long left);
__attribute__((noinline)) static void one(unsigned long path, unsigned long left) {
    walk(path, left >> 1);
    __asm__ volatile("" ::: "memory"); // no tail call
}
__attribute__((noinline)) static void two(unsigned long path, unsigned long left) {
    walk(path, left >> 1);
    __asm__ volatile("" ::: "memory");
}
__attribute__((noinline)) static void walk(unsigned long path, unsigned long left) {
    if (left <= 1) {
        uint64_t began = now_ns();
        free(slots[path]);
        slots[path] = malloc(16 + path % 480);
        note(&of_malloc, began, now_ns());
    } else if (left & 1) {
        one(path, left);
    } else {
        two(path, left);
    }
    __asm__ volatile("" ::: "memory");
}

// Twice through all of them slowly, then at random for the time asked. What differs between the two is out of line: with a
// copy of the loop for either there would be twice as many stacks.
__attribute__((noinline)) static unsigned long next_path(unsigned long i) {
    static uint64_t random = 88172645463325252u;
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    return (i < 2 * stacks ? i : random) % stacks;
}

__attribute__((noinline)) static void after_burst(unsigned long i, unsigned seconds, void (*start)(void)) {
    bool is_new = i < 2 * stacks;
    if (is_new || pause_us) usleep(is_new ? WARM_UP_US : pause_us);
    if (!is_new && end_ns == UINT64_MAX) {
        begin_ns = now_ns();
        end_ns = begin_ns + seconds * 1000000000ull;
        start();
    }
    preemptions_known = preemptions();
}

static void replace_blocks(unsigned seconds, void (*start)(void)) {
    for (unsigned long i = 0; now_ns() < end_ns; i++) {
        unsigned long path = next_path(i);
        walk(path, path + stacks); // the highest bit set ends it
        if (i % BURST == 0) after_burst(i, seconds, start);
    }
}

static void *map_and_unmap(void *unused) {
    while (now_ns() < end_ns) {
        uint64_t began = now_ns();
        char *mapped = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) break;
        *mapped = 1;
        munmap(mapped, MAPPED);
        note(&of_mapping, began, now_ns());
        usleep(pause_us ? pause_us : 100);
        preemptions_known = preemptions();
    }
    return unused;
}

static pthread_t mapper;

static void start_mapper(void) {
    if (pthread_create(&mapper, NULL, map_and_unmap, NULL)) exit(2);
}

// ---- Result ------------------------------------------------------------------------------------------------------------

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print(const char *name, struct longest *l, unsigned seconds) {
    qsort(l->each, seconds, sizeof *l->each, by_size);
    printf("%s %.1f %.1f\n", name, (double)l->each[seconds / 2] / 1e3, (double)l->each[seconds - 1] / 1e3);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    unsigned seconds = (unsigned)atoi(argv[1]);
    size_t resident = strtoul(argv[3], NULL, 10) << 20;
    stacks = strtoul(argv[2], NULL, 10), pause_us = (unsigned)atoi(argv[4]);
    slots = calloc(stacks, sizeof *slots);
    if (!slots || seconds < 1 || seconds > MAX_SECONDS) return 2;
    if (resident &&
        mmap(NULL, resident, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
        return 2;
    begin_ns = end_ns = UINT64_MAX;
    replace_blocks(seconds, start_mapper);
    pthread_join(mapper, NULL);
    print("malloc", &of_malloc, seconds);
    print("mmap", &of_mapping, seconds);
    return 0;
}
