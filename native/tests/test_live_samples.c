// SPDX-License-Identifier: Apache-2.0
// test_live_samples.c: the sampled blocks that the books tell of (agent/live_samples.c): slots that come back, threads, the end
// of the program, and exact mode's thinning, which must leave sums as they are on the average.
// links: agent/live_samples.c agent/own.c agent/live.c agent/thin.c agent/table.c agent/count.c agent/books.c agent/thread.c agent/sample.c agent/real.c sys.c
#include "../agent/live_samples.h"
#include "../agent/own.h"
#include "../agent/real.h"
#include "../agent/sample.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what) ((what) ? (void)0 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #what), exit(1)))

static struct ht_books *b;

static struct ht_live_sample *slot_at(uint32_t slot) {
    return (struct ht_live_sample *)(b->base + b->header->samples_offset) + slot - 1;
}

static uint32_t put(void *block, size_t size, uint64_t bytes) {
    struct ht_block what = {.bytes = bytes, .variance = 1, .id = 20};
    return ht_live_samples_put(b, block, size, &what);
}

static uint64_t address_of(const void *block) { return (uint64_t)(uintptr_t)block; }

static void test_slots(void) {
    char *blocks[3];
    for (int i = 0; i < 3; i++) blocks[i] = malloc(100);
    b->control->epoch = 5;
    CHECK(put(blocks[0], 100, 400) == 1 && put(blocks[1], 100, 400) == 2);
    CHECK(slot_at(1)->address == address_of(blocks[0]) && slot_at(1)->size == 100 && slot_at(1)->bytes == 400);
    CHECK(slot_at(1)->born == 5 && slot_at(1)->id == 20 &&
          slot_at(1)->rounding == (malloc_usable_size(blocks[0]) == 104 ? 12 : 0)); // glibc takes 112 for 100
    ht_live_samples_drop(b, 1, address_of(blocks[1]));                              // another's: nothing happens
    CHECK(slot_at(1)->address == address_of(blocks[0]));
    ht_live_samples_drop(b, 1, address_of(blocks[0]));
    ht_live_samples_drop(b, 1, address_of(blocks[0])); // twice: nothing
    CHECK(slot_at(1)->address == 0);
    CHECK(put(blocks[2], 100, 500) == 1 && b->header->samples_used == 2);
    struct ht_block heavier = {.bytes = 900, .variance = 3, .slot = 1};
    ht_live_samples_weigh(b, &heavier);
    CHECK(slot_at(1)->bytes == 900 && slot_at(1)->variance == 3);
    ht_live_samples_drop(b, 0, 0); // of a block that has none
    ht_live_samples_drop(b, 1u << 31, 1);
    ht_gate->phase = 2; // the program shuts down: they stay as they are
    ht_live_samples_drop(b, 1, address_of(blocks[2]));
    CHECK(slot_at(1)->address == address_of(blocks[2]) && put(blocks[0], 100, 400) == 0);
    ht_gate->phase = 0;
    ht_live_samples_drop(b, 1, address_of(blocks[2]));
    ht_live_samples_drop(b, 2, address_of(blocks[1]));
    for (int i = 0; i < 3; i++) free(blocks[i]);
}

enum { THREADS = 4, ROUNDS = 30000, HELD = 64 };

// No slot is given to two at a time: each thread finds what it wrote.
static void *churn(void *unused) {
    void *blocks[HELD] = {0};
    uint32_t slots[HELD];
    for (int i = 0; i < ROUNDS; i++) {
        int at = i * 7 % HELD;
        if (blocks[at]) {
            CHECK(slot_at(slots[at])->address == address_of(blocks[at]));
            ht_live_samples_drop(b, slots[at], address_of(blocks[at]));
            free(blocks[at]);
        }
        blocks[at] = malloc(32);
        slots[at] = put(blocks[at], 32, 64);
        CHECK(slots[at]);
    }
    for (int at = 0; at < HELD; at++) {
        if (blocks[at]) ht_live_samples_drop(b, slots[at], address_of(blocks[at]));
        free(blocks[at]);
    }
    return unused;
}

static void test_threads(void) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, churn, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(b->header->samples_used <= 2 + THREADS * HELD);
    for (uint32_t slot = 1; slot <= b->header->samples_used; slot++) CHECK(slot_at(slot)->address == 0);
}

// Full of blocks of two sizes, drawn with a mean interval of 16 KiB. Halved by thinning, they stand for as much as before.
static void test_thinning(void) {
    uint64_t random = 12345, slots = b->header->sample_slots, live = 0;
    double before = 0, after = 0, variance = 0;
    char *place =
        malloc(slots); // addresses of blocks that nobody allocated: those of the allocator are told by their heads
    ht_real.malloc_usable_size = NULL;
    for (uint64_t i = 0; i < slots; i++) {
        size_t size = i % 2 ? 100 : 20000;
        struct ht_weight w = ht_sample_weight(size, HT_INTERVAL_FIRST);
        CHECK(put(place + i, size, (uint64_t)(w.bytes + 0.5)));
        slot_at((uint32_t)i + 1)->variance = w.variance;
        before += w.bytes;
    }
    CHECK(put(place, 1, 1) == 0 && ht_live_samples_interval() == HT_INTERVAL_FIRST);
    for (uint64_t i = 0; i < slots; i++) ht_live_samples_drawn(b, i < slots - slots / 256 - 1, &random);
    CHECK(ht_live_samples_interval() >= 2 * HT_INTERVAL_FIRST);
    for (uint64_t i = 1; i <= slots; i++) {
        const struct ht_live_sample *s = slot_at((uint32_t)i);
        struct ht_weight twice = ht_sample_weight(s->size, 2 * HT_INTERVAL_FIRST);
        if (!s->address) continue;
        live++;
        after += (double)s->bytes;
        variance += s->variance;
        CHECK(fabs((double)s->bytes - twice.bytes) < 2e-3 * twice.bytes); // as if drawn so from the beginning
    }
    CHECK(live > slots / 2 && live < slots * 3 / 4); // half of the small ones, two in three of the large
    CHECK(fabs(after - before) < 6 * sqrt(variance));
    CHECK(put(place, 1, 1) != 0); // there is room again
    free(place);
}

int main(void) {
    struct ht_books_plan plan = {.mode = HT_MODE_EXACT, .interval = 1, .shared = true};
    ht_real_init();
    CHECK(ht_gate_init());
    ht_own_begin();
    b = ht_books_create(&plan);
    CHECK(b && b->header->sample_slots);
    ht_live_samples_init();
    test_slots();
    test_threads();
    ht_live_samples_init();
    test_thinning();
    ht_own_tell(b);
    const struct ht_range *own = (const struct ht_range *)(b->base + b->header->own_offset);
    CHECK(b->header->own_used >= 1 && own[0].start == address_of(b)); // the first mapping since it began
    ht_books_destroy(b);
    return 0;
}
