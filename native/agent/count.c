// SPDX-License-Identifier: Apache-2.0
#include "count.h"

// Both kinds of counter begin with bytes and objects allocated, then freed; the lane's totals are of bytes.
static void add(const struct ht_operation *o, uint64_t *counter, uint64_t *total, const struct ht_block *what) {
    ht_operation_add(o, &counter[0], what->bytes);
    ht_operation_add(o, &counter[1], what->objects);
    ht_operation_add(o, total, what->bytes);
}

void ht_count_alloc(struct ht_books *b, const struct ht_operation *o, const struct ht_block *what) {
    struct ht_sampled_counter *c = ht_books_counter(b, o->lane, o->buffer, what->id);
    add(o, &c->alloc_bytes, &o->lane->total_alloc_bytes, what);
    if (b->mode == HT_MODE_EXACT) return;
    ht_operation_add_double(o, &c->alloc_variance, what->variance);
    __atomic_fetch_add(&c->alloc_samples, 1, __ATOMIC_RELAXED);
}

void ht_count_free(struct ht_books *b, const struct ht_operation *o, const struct ht_block *what) {
    struct ht_sampled_counter *c = ht_books_counter(b, o->lane, o->buffer, what->id);
    add(o, &c->free_bytes, &o->lane->total_free_bytes, what);
    if (b->mode == HT_MODE_EXACT) return;
    ht_operation_add_double(o, &c->free_variance, what->variance);
    __atomic_fetch_add(&c->free_samples, 1, __ATOMIC_RELAXED);
}

void ht_count_free_now(struct ht_books *b, struct ht_thread *t, const struct ht_block *what) {
    struct ht_block counted = *what;
    counted.id = ht_books_ensure(b, ht_lane_of(b, t), what->id);
    if (!counted.id) return;
    struct ht_operation o;
    ht_operation_begin(b, t, &o);
    ht_count_free(b, &o, &counted);
    ht_operation_end(&o);
}

// In the shared lane: else each thread's lane would come to have counters for every stack that has live samples.
void ht_count_merged_now(struct ht_books *b, uint32_t id, double variance) {
    id = ht_books_ensure(b, ht_books_lane(b, 0), id);
    if (!id) return;
    struct ht_operation o;
    ht_operation_begin(b, NULL, &o);
    struct ht_sampled_counter *c = ht_books_counter(b, o.lane, o.buffer, id);
    ht_operation_add_double(&o, &c->alloc_variance, variance);
    __atomic_fetch_add(&c->free_samples, 1, __ATOMIC_RELAXED);
    ht_operation_end(&o);
}
