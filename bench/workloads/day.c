// SPDX-License-Identifier: Apache-2.0
// day ROUNDS PAIRS WORKERS NEW_STACKS LIBRARY LIBRARY: a server's day in short, with its own account of it.
//
// In each of ROUNDS rounds WORKERS threads come, make PAIRS allocations together and go. Each allocation takes the place of
// one of a fixed number of blocks, whichever thread made that. NEW_STACKS call paths are new in each round; the others were
// there before. Meanwhile the main thread opens one of the two libraries (day_library.c), lets it allocate, closes it, and
// frees that in the round after. At the end, on standard output:
//
//    rss KIB ...        resident memory after each hundredth of the rounds
//    NAME ALLOC_BYTES ALLOC_OBJECTS FREE_BYTES FREE_OBJECTS       for each function that allocates: `takes`, `day_alpha`, ...
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 20000, BURST = 64, DEPTH = 14, LARGE = 1 << 16, OF_LIBRARY = 50, MARKS = 100, SITES = 3 };

struct account {
    uint64_t alloc_bytes, alloc_objects, free_bytes, free_objects;
};
struct block { // as much of it as a free needs to know
    uint32_t size, site;
};

static const char *const site_names[SITES] = {"takes", "day_alpha", "day_beta"};
static struct account accounts[SITES]; // added to when a thread ends
static __thread struct account mine[SITES];
static void *slots[SLOTS];
static uint32_t newest; // call paths so far

static void die(const char *why) {
    fprintf(stderr, "day: %s\n", why);
    exit(1);
}

static void note_alloc(void *p, uint32_t size, uint32_t site) {
    if (!p) die("no memory");
    *(struct block *)p = (struct block){size, site};
    mine[site].alloc_bytes += size;
    mine[site].alloc_objects++;
}

static void give_back(void *p) {
    if (!p) return;
    struct block b = *(struct block *)p;
    mine[b.site].free_bytes += b.size;
    mine[b.site].free_objects++;
    free(p);
}

static void fold_accounts(void) {
    for (int i = 0; i < SITES; i++) {
        __atomic_fetch_add(&accounts[i].alloc_bytes, mine[i].alloc_bytes, __ATOMIC_RELAXED);
        __atomic_fetch_add(&accounts[i].alloc_objects, mine[i].alloc_objects, __ATOMIC_RELAXED);
        __atomic_fetch_add(&accounts[i].free_bytes, mine[i].free_bytes, __ATOMIC_RELAXED);
        __atomic_fetch_add(&accounts[i].free_objects, mine[i].free_objects, __ATOMIC_RELAXED);
        mine[i] = (struct account){0};
    }
}

// ---- Allocating below distinct call paths: one bit of the path decides each call ------------------------------------------

static uint32_t draw(uint64_t *random) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33);
}

// Mostly small, now and then a page or many.
static uint32_t draw_size(uint64_t *random) {
    uint32_t r = draw(random), most = r % 1000 == 0 ? LARGE : r % 20 == 0 ? 4096 : 256;
    return (uint32_t)sizeof(struct block) + draw(random) % most;
}

__attribute__((noinline)) static void takes(uint64_t *random) {
    for (int i = 0; i < BURST; i++) {
        uint32_t size = draw_size(random);
        void *p = malloc(size);
        note_alloc(p, size, 0);
        give_back(__atomic_exchange_n(&slots[draw(random) % SLOTS], p, __ATOMIC_ACQ_REL));
    }
}

static void walk(uint32_t path, int left, uint64_t *random);
__attribute__((noinline)) static void one(uint32_t path, int left, uint64_t *random) {
    walk(path, left, random);
    __asm__ volatile("" ::: "memory"); // no tail call
}
__attribute__((noinline)) static void two(uint32_t path, int left, uint64_t *random) {
    walk(path, left, random);
    __asm__ volatile("" ::: "memory");
}
static void walk(uint32_t path, int left, uint64_t *random) {
    if (!left) return takes(random);
    if (path & 1)
        one(path >> 1, left - 1, random);
    else
        two(path >> 1, left - 1, random);
}

struct order {
    uint64_t pairs, random;
    uint32_t from, to; // of its call paths, those that are new
};

static void *works(void *argument) {
    struct order *o = argument;
    uint64_t random = o->random;
    for (uint64_t done = 0; done < o->pairs; done += BURST) {
        uint32_t path = o->from < o->to ? o->from++ : draw(&random) % newest;
        walk(path, DEPTH, &random);
    }
    fold_accounts();
    return NULL;
}

// ---- Libraries that come and go --------------------------------------------------------------------------------------------

static void *of_library[OF_LIBRARY]; // what the library before allocated, while it is closed

static void visit(const char *path, uint32_t site, uint64_t *random) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) die(dlerror());
    void *(*allocates)(size_t) = (void *(*)(size_t))dlsym(library, site_names[site]);
    if (!allocates) die(dlerror());
    for (int i = 0; i < OF_LIBRARY; i++) {
        give_back(of_library[i]);
        uint32_t size = draw_size(random);
        note_alloc(of_library[i] = allocates(size), size, site);
    }
    dlclose(library);
}

// ---- The day ---------------------------------------------------------------------------------------------------------------

static long resident_kib(void) {
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    long pages = 0;
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0) pages = atol(strchr(text, ' ') + 1);
    if (fd >= 0) close(fd);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void a_round(uint64_t round, uint64_t pairs, unsigned workers, uint32_t new_stacks, char **libraries) {
    enum { MOST = 64 };
    static uint64_t random = 1;
    pthread_t threads[MOST];
    struct order orders[MOST];
    uint32_t first = newest;
    newest += new_stacks;
    if (newest >> DEPTH) die("more call paths than there are");
    for (unsigned i = 0; i < workers; i++) {
        orders[i] = (struct order){pairs / workers, round * MOST + i + 1, i ? newest : first, newest};
        if (pthread_create(&threads[i], NULL, works, &orders[i])) die("no thread");
    }
    visit(libraries[round % 2], 1 + (uint32_t)(round % 2), &random);
    for (unsigned i = 0; i < workers; i++) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    if (argc != 7) die("ROUNDS PAIRS WORKERS NEW_STACKS LIBRARY LIBRARY");
    uint64_t rounds = strtoull(argv[1], NULL, 10), pairs = strtoull(argv[2], NULL, 10);
    unsigned workers = (unsigned)atoi(argv[3]);
    static long resident[MARKS];
    if (workers < 1 || workers > 64 || rounds < MARKS) die("1 to 64 workers, 100 rounds or more");
    for (uint64_t round = 0; round < rounds; round++) {
        a_round(round, pairs, workers, (uint32_t)atoi(argv[4]), argv + 5);
        resident[round * MARKS / rounds] = resident_kib();
    }
    fold_accounts();
    printf("rss");
    for (int i = 0; i < MARKS; i++) printf(" %ld", resident[i]);
    for (int i = 0; i < SITES; i++)
        printf("\n%s %lu %lu %lu %lu", site_names[i], accounts[i].alloc_bytes, accounts[i].alloc_objects,
               accounts[i].free_bytes, accounts[i].free_objects);
    puts("");
    fflush(stdout);
    _exit(0);
}
