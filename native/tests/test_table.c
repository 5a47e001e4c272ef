// SPDX-License-Identifier: Apache-2.0
// test_table.c: the table of blocks by address (agent/table.c) against a plain array, by itself and under threads.
// links: agent/table.c sys.c
#include "../agent/table.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what) ((what) ? (void)0 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #what), exit(1)))

enum { CAPACITY_BITS = 12, CAPACITY = 1 << CAPACITY_BITS, THREADS = 4, ROUNDS = 20000 };

static uint64_t dice = 88172645463325252ull;
static uint64_t roll(void) { // xorshift64: the same run every time
    dice ^= dice << 13;
    dice ^= dice >> 7;
    return dice ^= dice << 17;
}

static struct ht_block block_of(uint64_t n) {
    return (struct ht_block){.bytes = n * 3, .objects = n * 5, .id = (uint32_t)n};
}

static void take_same(struct ht_table *t, uint64_t address, uint64_t n) {
    struct ht_block found = {0}, wanted = block_of(n);
    CHECK(ht_table_take(t, address, &found) == HT_TAKEN);
    CHECK(found.bytes == wanted.bytes && found.objects == wanted.objects && found.id == wanted.id);
    CHECK(ht_table_take(t, address, &found) == HT_TAKEN_NOTHING);
}

// Random puts and removals at half load; the array says what must be there.
static void test_against_an_array(void) {
    enum { ADDRESSES = CAPACITY };
    struct ht_table t = {0};
    static uint64_t there[ADDRESSES]; // 0: absent
    CHECK(ht_table_init(&t, CAPACITY_BITS) && ht_table_capacity(&t) == CAPACITY);
    for (uint64_t step = 1; step <= 50 * ADDRESSES; step++) {
        uint64_t i = roll() % ADDRESSES, address = 0x7f0000000000ull + i * 16;
        struct ht_block block = block_of(step), none;
        if (there[i])
            take_same(&t, address, there[i]);
        else
            CHECK(ht_table_take(&t, address, &none) == HT_TAKEN_NOTHING);
        there[i] = roll() & 1 && ht_table_put(&t, address, &block) ? step : 0;
    }
    for (uint64_t i = 0; i < ADDRESSES; i++)
        if (there[i]) take_same(&t, 0x7f0000000000ull + i * 16, there[i]);
    ht_table_deinit(&t);
}

// Up to five eighths nothing is refused: thinning begins there.
static void test_five_eighths(void) {
    for (int round = 0; round < 20; round++) {
        struct ht_table t = {0};
        CHECK(ht_table_init(&t, CAPACITY_BITS));
        for (uint64_t i = 0; i < CAPACITY / 8 * 5; i++) {
            struct ht_block block = block_of(i);
            CHECK(ht_table_put(&t, roll() >> 17 << 4 | 16, &block));
        }
        ht_table_deinit(&t);
    }
}

// A full table refuses, loses nothing that it took, and takes again what fits after a removal.
static void test_full(void) {
    struct ht_table t = {0};
    CHECK(ht_table_init(&t, CAPACITY_BITS));
    static uint64_t taken[CAPACITY];
    uint64_t count = 0;
    for (uint64_t i = 1; i <= 4 * CAPACITY; i++) {
        struct ht_block block = block_of(i);
        if (ht_table_put(&t, i * 32, &block)) taken[count++] = i;
    }
    CHECK(count <= CAPACITY && count > CAPACITY * 9 / 10);
    take_same(&t, taken[0] * 32, taken[0]);
    struct ht_block again = block_of(7);
    CHECK(ht_table_put(&t, taken[0] * 32, &again));
    take_same(&t, taken[0] * 32, 7);
    for (uint64_t k = 1; k < count; k++) take_same(&t, taken[k] * 32, taken[k]);
    ht_table_deinit(&t);
}

static uint64_t slot_of(const struct ht_table *t, uint64_t key) {
    uint64_t slot = 0;
    while (slot < ht_table_capacity(t) && t->keys[slot] != key) slot++;
    return slot;
}

// The holder may change a block; one that is freed meanwhile is left to it; one that it drops is nowhere.
static void test_holding(void) {
    struct ht_table t = {0};
    struct ht_block block = block_of(5), found;
    CHECK(ht_table_init(&t, 6) && ht_table_put(&t, 64, &block) && !ht_table_put(&t, 65, &block));
    uint64_t slot = slot_of(&t, 64);
    CHECK(ht_table_hold(&t, slot) && !ht_table_hold(&t, (slot + 1) % 64));
    t.blocks[slot].bytes = 77;
    CHECK(ht_table_release(&t, slot) == 0);
    CHECK(ht_table_take(&t, 64, &found) == HT_TAKEN && found.bytes == 77);

    CHECK(ht_table_put(&t, 64, &block));
    slot = slot_of(&t, 64);
    CHECK(ht_table_hold(&t, slot) && ht_table_take(&t, 64, &found) == HT_TAKEN_BY_HOLDER);
    CHECK(ht_table_take(&t, 64, &found) == HT_TAKEN_NOTHING); // the same address again is another block
    CHECK(ht_table_put(&t, 64, &block) && ht_table_release(&t, slot) == 64);
    take_same(&t, 64, 5);

    CHECK(ht_table_put(&t, 64, &block));
    slot = slot_of(&t, 64);
    CHECK(ht_table_hold(&t, slot) && ht_table_hold(&t, slot)); // what a holder before left held
    CHECK(ht_table_drop(&t, slot) == 64 && ht_table_take(&t, 64, &found) == HT_TAKEN_NOTHING);
    ht_table_deinit(&t);
}

// Never made: finds nothing.
static void test_zeroed(void) {
    struct ht_table t = {0};
    struct ht_block none = {0};
    CHECK(ht_table_take(&t, 64, &none) == HT_TAKEN_NOTHING && !ht_table_put(&t, 64, &none));
}

static struct ht_table shared_table;

// Each thread owns its addresses, as the threads of a program own their blocks; only the slots are everybody's.
static void *own_addresses(void *argument) {
    uint64_t owner = (uint64_t)(uintptr_t)argument;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        uint64_t address = (round % 200 * THREADS + owner + 1) * 16;
        struct ht_block block = block_of(round * THREADS + owner);
        if (ht_table_put(&shared_table, address, &block)) take_same(&shared_table, address, round * THREADS + owner);
    }
    return NULL;
}

static void test_threads(void) {
    pthread_t threads[THREADS];
    CHECK(ht_table_init(&shared_table, 6)); // small, so that buckets are fought over
    for (uintptr_t i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, own_addresses, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    ht_table_deinit(&shared_table);
}

int main(void) {
    test_zeroed();
    test_against_an_array();
    test_five_eighths();
    test_full();
    test_holding();
    test_threads();
    return 0;
}
