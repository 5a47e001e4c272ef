// SPDX-License-Identifier: Apache-2.0
// test_sample_thin.c: far more live samples than the table holds (agent/thin.c). Over many seeds what is told of the heap is
// unbiased and as sure as it says; by itself and under threads nothing is lost, to the byte.
// links: agent/thin.c agent/live.c agent/table.c agent/count.c agent/books.c agent/thread.c agent/sample.c agent/live_samples.c agent/real.c sys.c
#include "../agent/thin.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../agent/count.h"
#include "../agent/sample.h"

#define CHECK(what) ((what) ? (void)0 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #what), exit(1)))

enum { INTERVAL = 1024, FIRST_ID = HT_FIRST_STACK_ID, IDS = 40 };

// ---- A program --------------------------------------------------------------------------------------------------------

static struct ht_books *begin(void) {
    struct ht_books_plan plan = {.mode = HT_MODE_SAMPLED, .interval = INTERVAL};
    CHECK(ht_gate_init());
    struct ht_books *b = ht_books_create(&plan);
    CHECK(b && ht_live_init(HT_MODE_SAMPLED, true, 0));
    ht_gate->books = b;
    return b;
}

static void end(struct ht_books *b) {
    ht_gate->books = NULL;
    if (ht_tls.thread) ht_tls.thread->books = NULL;
    ht_books_destroy(b);
}

static const void *at(uint64_t number) { return (const void *)(uintptr_t)(0x10000 + number * 16); }

// What record.c does with a block that was drawn.
static void keep(struct ht_books *b, uint64_t number, size_t size, uint64_t interval, uint32_t id) {
    struct ht_thread *t = ht_thread_now(b);
    struct ht_weight w = ht_sample_weight(size, interval);
    struct ht_block block = {.bytes = (uint64_t)(w.bytes + 0.5),
                             .objects = (uint64_t)(w.objects * 65536 + 0.5),
                             .variance = w.variance,
                             .id = id,
                             .size = (uint32_t)size};
    CHECK(ht_books_ensure(b, t->lane, id) == id);
    struct ht_operation o;
    ht_operation_begin(b, t, &o);
    bool kept = ht_live_put(at(number), &block);
    if (kept) ht_count_alloc(b, &o, &block);
    ht_operation_end(&o);
    if (!kept) ht_books_lose(b, HT_LOSS_SAMPLE_TABLE_FULL, 1);
    ht_thin_if_full(b, t);
}

static void allocate(struct ht_books *b, uint64_t number, size_t size, uint32_t id) {
    uint64_t interval = b->header->interval;
    if (ht_sample_draw(&ht_tls.random) < -expm1(-((double)size + 1) / (double)interval))
        keep(b, number, size, interval, id);
}

static void release(struct ht_books *b, uint64_t number) {
    struct ht_block block;
    if (ht_live_take(at(number), &block) == HT_TAKEN) ht_count_free_now(b, ht_thread_now(b), &block);
}

struct sums {
    double bytes, objects, alloc, variance, samples;
};

static struct sums sums_of(const struct ht_books *b, uint32_t first, uint32_t last) {
    struct sums s = {0};
    for (uint32_t lane = 0; lane < b->header->lanes_used; lane++) {
        for (uint32_t id = first; id <= last; id++) {
            struct ht_lane *l = ht_books_lane(b, lane);
            if (!ht_lane_groups(l)[id >> HT_GROUP_SHIFT]) continue;
            for (unsigned buffer = 0; buffer < 2; buffer++) {
                const struct ht_sampled_counter *c = ht_books_counter(b, l, buffer, id);
                s.bytes += (double)(int64_t)(c->alloc_bytes - c->free_bytes);
                s.objects += (double)(int64_t)(c->alloc_objects_fp16 - c->free_objects_fp16) / 65536;
                s.alloc += (double)c->alloc_bytes;
                s.variance += c->alloc_variance - c->free_variance;
                s.samples += (double)c->alloc_samples - (double)c->free_samples;
            }
        }
    }
    return s;
}

// ---- Over many seeds ----------------------------------------------------------------------------------------------------

struct heap {
    const char *name;
    size_t (*size)(uint64_t number);
    unsigned keep; // of 100 blocks so many live on
};
static size_t equal(uint64_t number) { return (void)number, 2000; }
static size_t few(uint64_t number) { return (size_t[]){0, 24, 500, 3000, 3001, 9000}[number % 6]; }
static size_t any(uint64_t number) { return number * 2654435761u % 7919; }

static const struct heap heaps[] = {
    {"equal sizes, all live", equal, 100}, {"equal sizes, half freed", equal, 50}, {"few sizes, all live", few, 100},
    {"few sizes, half freed", few, 50},    {"any size, half freed", any, 50},      {"any size, most freed", any, 15},
};

struct tally {
    double z, z2, covered, objects_off, doublings;
};

static uint64_t hash(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    return (x ^ x >> 27) * 0x94d049bb133111ebull >> 33;
}

// So many blocks that the table fills twice; those that go do so in an order of their own, some before it fills again.
static void one_seed(const struct heap *heap, uint64_t seed, struct tally *tally) {
    enum { BLOCKS = 80000, BATCH = 4000 };
    struct ht_books *b = begin();
    double bytes = 0, objects = 0;
    ht_tls.random = hash(seed) | 1;
    for (uint64_t n = 0; n < BLOCKS; n++) {
        allocate(b, n, heap->size(n), FIRST_ID + (uint32_t)(n / 3 % IDS));
        bool lives = hash(n) % 100 < heap->keep;
        bytes += lives ? (double)heap->size(n) : 0, objects += lives;
        if ((n + 1) % BATCH == 0 && n >= 5 * BATCH)
            for (uint64_t old = n + 1 - 6 * BATCH; old < n + 1 - 5 * BATCH; old++)
                if (hash(old) % 100 >= heap->keep) release(b, old);
    }
    for (uint64_t n = BLOCKS - 5 * BATCH; n < BLOCKS; n++)
        if (hash(n) % 100 >= heap->keep) release(b, n);
    struct sums s = sums_of(b, FIRST_ID, FIRST_ID + IDS);
    CHECK(s.variance > 0);
    CHECK(b->header->losses[HT_LOSS_SAMPLE_TABLE_FULL] <= 2); // two full buckets of eight: one sample in 10 million
    double z = (s.bytes - bytes) / sqrt(s.variance);
    tally->z += z, tally->z2 += z * z, tally->covered += fabs(z) <= 1.96;
    tally->objects_off += s.objects / objects - 1;
    tally->doublings += log2((double)b->header->interval / INTERVAL);
    for (uint64_t n = 0; n < BLOCKS; n++) release(b, n);
    s = sums_of(b, FIRST_ID, FIRST_ID + IDS);
    CHECK(s.bytes == 0 && s.objects == 0 && s.samples == 0);
    end(b);
}

// The mean of z over the seeds has a standard error of at most 1 / sqrt(seeds); it is at most 4 of them off. Errors told are
// never too small: the mean square of z is at most 1 and its noise, and the bars cover 95 % but for theirs.
static void test_many_seeds(unsigned seeds) {
    for (size_t i = 0; i < sizeof heaps / sizeof *heaps; i++) {
        struct tally t = {0};
        for (uint64_t seed = 1; seed <= seeds; seed++) one_seed(&heaps[i], seed, &t);
        double n = seeds, error = 1 / sqrt(n);
        printf("%-24s %u seeds: bias %+.2f standard errors, z rms %.2f, covered %.1f %%, doublings %.1f, objects %+.4f "
               "%%\n",
               heaps[i].name, seeds, t.z / n / error, sqrt(t.z2 / n), 100 * t.covered / n, t.doublings / n,
               100 * t.objects_off / n);
        CHECK(fabs(t.z / n) < 4 * error);
        CHECK(t.z2 / n < 1 + 4 * sqrt(2 / n));
        CHECK(t.covered / n > 0.95 - 4 * sqrt(0.05 * 0.95 / n));
        CHECK(t.doublings / n >= 1);
    }
}

// ---- Under threads ------------------------------------------------------------------------------------------------------

enum { THREADS = 4, EACH = 7000, ROUNDS = 3 };
static struct ht_books *shared;
static pthread_barrier_t all_full;

static void *fills_and_frees(void *argument) {
    uint64_t first = (uint64_t)(uintptr_t)argument * EACH;
    ht_tls.random = first + 77;
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t n = first; n < first + EACH; n++) keep(shared, n, 100 + n % 3, INTERVAL, FIRST_ID + n % 5);
        if (round == 0) pthread_barrier_wait(&all_full); // from then on each at its own pace
        for (uint64_t n = first; n < first + EACH; n++) release(shared, n);
    }
    return NULL;
}

// Everything is freed while others thin: in use in the end is nothing, exactly. (Samples come a thousand times as often as from
// a program: while the thread that thins is preempted the table may fill, and then some are not kept.)
static void test_threads(void) {
    pthread_t threads[THREADS];
    shared = begin();
    CHECK(!pthread_barrier_init(&all_full, NULL, THREADS));
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, fills_and_frees, (void *)i));
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    struct sums s = sums_of(shared, FIRST_ID, FIRST_ID + 5);
    CHECK(s.bytes == 0 && s.objects == 0 && s.samples == 0 && s.alloc > 0);
    CHECK(ht_live_sample_count == 0 && shared->header->interval > INTERVAL);
    CHECK(fabs(s.variance) < 1e-9 * s.alloc * s.alloc);
    end(shared);
}

// More kinds of samples than pair up: sizes that are all different, then stacks that are.
static void test_all_different(void) {
    struct ht_books *b = begin();
    ht_tls.random = 5;
    for (uint64_t n = 0; n < 70000; n++) keep(b, n, n % 40000 + 1, INTERVAL, FIRST_ID + (uint32_t)(n % 3000));
    CHECK(b->header->losses[HT_LOSS_SAMPLE_TABLE_FULL] <= 2 && ht_live_sample_count <= HT_SAMPLES_MANY + 1000);
    for (uint64_t n = 0; n < 70000; n++) release(b, n);
    struct sums s = sums_of(b, FIRST_ID, FIRST_ID + 3000);
    CHECK(s.bytes == 0 && s.objects == 0);
    end(b);
}

int main(int argc, char **argv) {
    test_many_seeds(argc > 1 ? (unsigned)atoi(argv[1]) : 2);
    test_all_different();
    test_threads();
    return 0;
}
