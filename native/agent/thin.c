// SPDX-License-Identifier: Apache-2.0
#include "thin.h"

#include "count.h"
#include "live_samples.h"
#include "sample.h"
#include "turn.h"

enum { STEP = 256, PENDING_BITS = 15, ENOUGH_GONE = 1 << (HT_SAMPLES_BITS - 1) };

// Who pairs with whom. Each pass over the table that does not bring its entries below ENOUGH_GONE is followed by the next kind.
enum kinship { SAME_SIZE, SIMILAR_SIZE, SAME_STACK };

bool ht_thin_active;
static struct {
    uint32_t *pending; // by hash of stack and size: slot + 1 of an entry that waits for its like
    uint64_t cursor;   // next slot
    enum kinship kinship;
} pass;
static uint64_t least_interval;
static ht_turn turn;

uint64_t ht_thin_least_interval(void) { return __atomic_load_n(&least_interval, __ATOMIC_RELAXED); }

void ht_thin_left(void) { ht_turn_left(&turn); }

static void end_pass(void) {
    if (pass.pending) ht_sys_unmap(pass.pending, sizeof *pass.pending << PENDING_BITS);
    pass.pending = NULL;
    pass.cursor = 0;
}

void ht_thin_forget(void) {
    turn = 0;
    ht_thin_active = false;
    least_interval = 0;
    end_pass();
}

static bool begin_pass(enum kinship kinship) {
    pass.kinship = kinship;
    pass.pending = ht_sys_map(sizeof *pass.pending << PENDING_BITS);
    return pass.pending != NULL;
}

static void double_interval(struct ht_books *b) {
    uint64_t interval = __atomic_load_n(&b->header->interval, __ATOMIC_RELAXED), doubled = interval * 2;
    if (doubled > HT_INTERVAL_MOST) return;
    __atomic_store_n(&least_interval, doubled, __ATOMIC_RELAXED);
    __atomic_compare_exchange_n(&b->header->interval, &interval, doubled, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// ---- Two become one -------------------------------------------------------------------------------------------------

// Sizes of one class differ by an eighth at most.
static uint32_t size_class(uint32_t size) {
    if (size < 8) return size;
    uint32_t octave = 31 - (uint32_t)__builtin_clz(size);
    return octave << 3 | (size >> (octave - 3) & 7);
}

static uint64_t kind_of(const struct ht_block *block) {
    uint32_t size = pass.kinship == SAME_SIZE ? block->size : size_class(block->size);
    return (uint64_t)block->id << 32 | (pass.kinship == SAME_STACK ? 0 : size);
}

// Bytes decide; where there are none, objects do.
static double weight_of(const struct ht_block *block, bool by_bytes) {
    return by_bytes ? (double)block->bytes : (double)block->objects;
}

// What `one` becomes when it stays, and `other` goes.
static struct ht_block together(const struct ht_block *one, const struct ht_block *other) {
    double a = (double)one->bytes, b = (double)other->bytes;
    struct ht_block both = *one;
    both.bytes += other->bytes;
    both.objects += other->objects;
    if (a > 0) both.variance = one->variance * ((a + b) / a) + b * (a + b);
    return both;
}

// `slot` of the table.
static void release(struct ht_books *b, struct ht_thread *t, uint64_t slot) {
    struct ht_block block = ht_live_samples.blocks[slot]; // after the release the slot may be another's
    uint64_t freed = ht_table_release(&ht_live_samples, slot);
    if (!freed) return;
    ht_live_sample_gone(freed);
    ht_live_samples_drop(b, block.slot, freed);
    ht_count_free_now(b, t, &block);
}

// Both are held.
static void merge(struct ht_books *b, struct ht_thread *t, uint64_t one, uint64_t other) {
    struct ht_block *blocks = ht_live_samples.blocks;
    bool by_bytes = blocks[one].bytes || blocks[other].bytes;
    double a = weight_of(&blocks[one], by_bytes), sum = a + weight_of(&blocks[other], by_bytes);
    bool one_stays = ht_sample_draw(&ht_tls.random) * sum < a;
    uint64_t stays = one_stays ? one : other, goes = one_stays ? other : one;
    struct ht_block both = together(&blocks[stays], &blocks[goes]);
    double more = both.variance - blocks[stays].variance - blocks[goes].variance;
    blocks[stays] = both;
    ht_live_samples_weigh(b, &both);
    uint32_t gone = blocks[goes].slot;
    uint64_t address = ht_table_drop(&ht_live_samples, goes);
    ht_live_sample_gone(address);
    ht_live_samples_drop(b, gone, address);
    ht_count_merged_now(b, both.id, more > 0 ? more : 0);
    release(b, t, stays);
}

static void visit(struct ht_books *b, struct ht_thread *t, uint64_t slot) {
    struct ht_table *table = &ht_live_samples;
    if (!ht_table_hold(table, slot)) return;
    uint64_t kind = kind_of(&table->blocks[slot]);
    uint32_t *place = &pass.pending[kind * 0x9e3779b97f4a7c15ull >> (64 - PENDING_BITS)];
    uint64_t waiting = *place - 1ull;
    bool pairs = *place && waiting != slot && ht_table_hold(table, waiting);
    bool alike = pairs && kind_of(&table->blocks[waiting]) == kind;
    *place = alike ? 0 : (uint32_t)slot + 1;
    if (alike) return merge(b, t, slot, waiting);
    if (pairs) release(b, t, waiting);
    release(b, t, slot);
}

// ---- Passes ---------------------------------------------------------------------------------------------------------

static bool continue_pass(struct ht_books *b) {
    if (pass.pending) return true;
    if (!ht_thin_active) double_interval(b);
    if (!begin_pass(SAME_SIZE)) {
        ht_books_lose(b, HT_LOSS_NO_MEMORY, 1);
        return false;
    }
    __atomic_store_n(&ht_thin_active, true, __ATOMIC_RELAXED);
    return true;
}

static void pass_is_over(void) {
    enum kinship next = pass.kinship + 1;
    end_pass();
    bool enough = __atomic_load_n(&ht_live_sample_count, __ATOMIC_RELAXED) < ENOUGH_GONE;
    bool goes_on = !enough && next <= SAME_STACK && begin_pass(next);
    __atomic_store_n(&ht_thin_active, goes_on, __ATOMIC_RELAXED);
}

static void some_slots(struct ht_books *b, struct ht_thread *t) {
    uint64_t capacity = ht_table_capacity(&ht_live_samples);
    for (int i = 0; i < STEP && pass.cursor < capacity; i++) visit(b, t, pass.cursor++);
    if (pass.cursor == capacity) pass_is_over();
}

// No capture of this thread is under way meanwhile: a signal handler's sample must not come in here again.
void ht_thin_step(struct ht_books *b, struct ht_thread *t) {
    if (!t || t->capturing) return;
    t->capturing = true;
    ht_compiler_barrier();
    if (ht_turn_take(&turn)) {
        if (continue_pass(b)) some_slots(b, t);
        ht_turn_end(&turn);
    }
    ht_compiler_barrier();
    t->capturing = false;
}
