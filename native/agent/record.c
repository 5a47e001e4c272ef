// SPDX-License-Identifier: Apache-2.0
#include "record.h"

#include "count.h"
#include "live.h"
#include "live_samples.h"
#include "sample.h"
#include "stacks.h"
#include "thin.h"

ht_record_listener *ht_record_listen;
static uint64_t first_seed;

static void look_again_later(void) {
    ht_tls.left = HT_DORMANT_BYTES;
    ht_tls.interval = 0;
}

// ---- Keeping --------------------------------------------------------------------------------------------------------

static uint64_t address_of(const void *block) { return (uint64_t)(uintptr_t)block; }

// What lies at this address was freed past us (RTLD_DEEPBIND, an allocator's own name for free), or the allocator could not
// have given it again: it ends now.
static HT_COLD void bury(struct ht_books *b, struct ht_thread *t, const void *block, const struct ht_block *old) {
    ht_books_lose(b, HT_LOSS_MISSED_FREE, 1);
    ht_live_samples_drop(b, old->slot, address_of(block));
    ht_count_free_now(b, t, old);
}

// The table that live samples stand in is full: it is a block like any other.
static HT_COLD bool put_without_sample(struct ht_books *b, const void *block, struct ht_block *what) {
    ht_live_samples_drop(b, what->slot, address_of(block));
    what->slot = 0;
    return ht_live_put(block, what);
}

// Exact: a block that cannot be kept is still counted as allocated. A sample that cannot be kept never was one.
static void record(struct ht_books *b, struct ht_thread *t, const void *block, struct ht_block *what) {
    bool exact = b->mode == HT_MODE_EXACT;
    struct ht_block old;
    what->id = ht_books_ensure(b, ht_lane_of(b, t), what->id);
    if (!what->id) return ht_live_samples_drop(b, what->slot, address_of(block));
    if (ht_unlikely(ht_live_take(block, &old) == HT_TAKEN)) bury(b, t, block, &old);
    struct ht_operation o;
    ht_operation_begin(b, t, &o);
    bool kept = ht_live_put(block, what) || (exact && what->slot && put_without_sample(b, block, what));
    if (kept || exact) ht_count_alloc(b, &o, what);
    ht_operation_end(&o);
    if (ht_likely(kept)) return;
    ht_live_samples_drop(b, what->slot, address_of(block));
    ht_books_lose(b, exact ? HT_LOSS_LIVE_FULL : HT_LOSS_SAMPLE_TABLE_FULL, 1);
}

// ---- Sampling -----------------------------------------------------------------------------------------------------------

// The finaliser of splitmix64: neighbouring numbers become unrelated ones.
static uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static void seed(void) { // no system call here: a sandbox may be in force by now
    static uint64_t threads;
    uint64_t n = __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED);
    ht_tls.random = mixed(mixed(first_seed) + n * 0x9e3779b97f4a7c15ull);
    if (!ht_tls.random) ht_tls.random = 1;
}

void ht_record_seed(uint64_t seed) {
    first_seed = seed;
    ht_tls.random = 0;
}

static const uint64_t MOST_INTERVAL = 1ull << 40; // of what the recorder may ask for

static void draw(struct ht_books *b) {
    if (ht_unlikely(!ht_tls.random)) seed();
    uint64_t told = __atomic_load_n(&b->control->interval, __ATOMIC_RELAXED);
    uint64_t least = ht_thin_least_interval();
    if (told && told <= MOST_INTERVAL)
        __atomic_store_n(&b->header->interval, told > least ? told : least, __ATOMIC_RELAXED);
    ht_tls.interval = __atomic_load_n(&b->header->interval, __ATOMIC_RELAXED);
    ht_tls.left = ht_sample_gap(&ht_tls.random, ht_tls.interval);
}

static void widen(struct ht_books *b) {
    static uint64_t samples;
    if (!(b->header->flags & HT_FLAG_ADAPTIVE) || __atomic_load_n(&b->control->interval, __ATOMIC_RELAXED)) return;
    if (__atomic_add_fetch(&samples, 1, __ATOMIC_RELAXED) % HT_SAMPLES_PER_INTERVAL != 0) return;
    uint64_t interval = __atomic_load_n(&b->header->interval, __ATOMIC_RELAXED);
    if (interval < HT_INTERVAL_LAST) __atomic_store_n(&b->header->interval, interval * 2, __ATOMIC_RELAXED);
}

static struct ht_block weighed(size_t size, uint64_t interval) {
    struct ht_weight w = ht_sample_weight(size, interval);
    return (struct ht_block){.bytes = (uint64_t)(w.bytes + 0.5),
                             .objects = (uint64_t)(w.objects * 65536 + 0.5),
                             .variance = w.variance,
                             .size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX};
}

// Each sample is weighed by the interval that its gap was drawn with, so a change in between biases nothing.
static void sample(struct ht_books *b, const void *block, size_t size, const struct ht_caller *caller) {
    if (!ht_tls.interval) { // this thread's first gap
        draw(b);
        if (size < ht_tls.left) {
            ht_tls.left -= size + 1;
            return;
        }
    }
    struct ht_block what = weighed(size, ht_tls.interval);
    draw(b);
    struct ht_thread *t = ht_thread_now(b);
    what.id = ht_stacks_capture(b, t, caller);
    what.slot = ht_live_samples_put(b, block, size, &what);
    record(b, t, block, &what);
    ht_thin_if_full(b, t);
    widen(b);
}

// ---- Exact mode: live samples beside the full count ---------------------------------------------------------------------

// The interval that the gap which ends here was drawn with; 0: it is this thread's first.
static uint64_t draw_live(struct ht_thread *t) {
    uint64_t was = t->sample_interval;
    if (ht_unlikely(!ht_tls.random)) seed();
    t->sample_interval = ht_live_samples_interval();
    t->sample_left = (int64_t)ht_sample_gap(&ht_tls.random, t->sample_interval);
    return was;
}

// The block's slot, if it is drawn. What ht_exact_alloc refused for another reason has not been counted down yet.
static uint32_t sample_live(struct ht_books *b, struct ht_thread *t, const void *block, size_t size, uint32_t id) {
    if (t->sample_left >= 0) t->sample_left -= (int64_t)size + 1;
    if (t->sample_left >= 0) return 0;
    uint64_t interval = draw_live(t);
    if (!interval) {
        t->sample_left -= (int64_t)size + 1;
        if (t->sample_left >= 0) return 0;
        interval = draw_live(t);
    }
    struct ht_block what = weighed(size, interval);
    what.id = id;
    uint32_t slot = ht_live_samples_put(b, block, size, &what);
    ht_live_samples_drawn(b, slot != 0, &ht_tls.random);
    return slot;
}

void ht_record_captured(struct ht_books *b, const void *block, size_t size, uint32_t id) {
    struct ht_thread *t = ht_thread_now(b);
    struct ht_block what = {.bytes = size, .objects = 1, .id = id};
    if (t && b->header->sample_slots) what.slot = sample_live(b, t, block, size, id);
    record(b, t, block, &what);
    ht_tls.left = 0;
}

static void record_exact(struct ht_books *b, const void *block, size_t size, const struct ht_caller *caller) {
    struct ht_thread *t = ht_thread_now(b);
    uint32_t id = ht_stacks_capture(b, t, caller);
    if (!ht_exact_ready(t, b) || !ht_exact_alloc(b, t, block, size, id, ht_exact_counters(b, t, id)))
        ht_record_captured(b, block, size, id);
    ht_tls.left = 0; // of a thread that was dormant
}

// ---- Mappings: all of them, in either mode ------------------------------------------------------------------------------

static void add_mapping(struct ht_books *b, const struct ht_operation *o, void *counter, uint64_t bytes,
                        bool is_object) {
    uint64_t *c = counter; // bytes, then objects: both kinds of counter begin so
    ht_operation_add(o, &c[0], bytes);
    if (is_object) ht_operation_add(o, &c[1], b->mode == HT_MODE_EXACT ? 1 : 1 << 16);
}

void ht_record_mapping(struct ht_books *b, uint32_t id, uint64_t bytes, bool is_object, bool allocated) {
    struct ht_thread *t = ht_thread_now(b);
    struct ht_operation o;
    if (ht_books_ensure(b, ht_lane_of(b, t), id) != id)
        return ht_books_lose(b, HT_LOSS_MAPPING, 1); // never among blocks
    ht_operation_begin(b, t, &o);
    uint64_t *c = ht_books_counter(b, o.lane, o.buffer, id);
    add_mapping(b, &o, allocated ? c : c + 2, bytes, is_object);
    ht_operation_add(&o, allocated ? &o.lane->total_alloc_bytes : &o.lane->total_free_bytes, bytes);
    ht_operation_end(&o);
}

// ---- The entrances ------------------------------------------------------------------------------------------------------

void ht_record_alloc(const void *block, size_t size, const struct ht_caller *caller) {
    struct ht_books *b = ht_books_now();
    if (!b) return look_again_later();
    if (!block) return;
    if (ht_unlikely(!ht_books_armed(b))) return look_again_later();
    ht_live_arm();
    if (b->mode == HT_MODE_SAMPLED) return sample(b, block, size, caller);
    record_exact(b, block, size, caller);
    if (ht_unlikely(ht_record_listen != NULL)) ht_record_listen(size, 0);
}

// The free of a block from before recording began, or one that could not be kept.
static void count_unknown(struct ht_books *b, const void *block) {
    if (b->mode != HT_MODE_EXACT || !block) return;
    ht_books_lose(b, HT_LOSS_UNKNOWN_FREE, 1);
    if (ht_page_map.size_in_head) ht_books_lose(b, HT_LOSS_UNKNOWN_FREE_BYTES, ht_sys_usable_size(block));
}

void ht_record_free(const void *block) {
    struct ht_block what;
    if (ht_record_take(block, &what)) ht_record_taken_is_free(&what);
}

bool ht_record_take(const void *block, struct ht_block *ret) {
    struct ht_books *b = ht_books_now();
    if (!b) return false;
    enum ht_taken taken = ht_live_take(block, ret);
    if (taken == HT_TAKEN_NOTHING) count_unknown(b, block);
    if (taken != HT_TAKEN) return false;
    ht_live_samples_drop(b, ret->slot, address_of(block));
    ret->slot = 0;
    return true;
}

void ht_record_taken_is_free(const struct ht_block *taken) {
    struct ht_books *b = ht_books_now();
    if (!b) return;
    ht_count_free_now(b, ht_thread_now(b), taken);
    if (ht_unlikely(ht_record_listen != NULL)) ht_record_listen(0, taken->bytes);
}

void ht_record_put_back(const void *block, const struct ht_block *taken) {
    struct ht_books *b = ht_books_now();
    if (b && !ht_live_put(block, taken)) ht_books_lose(b, HT_LOSS_LIVE_FULL, 1);
}
