// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "encode.h"

#include <string.h>

// ---- Snapshots ------------------------------------------------------------------------------------------------------

// The columns after the ids, as words of 64 bits: counts, then variances (bit patterns), then samples.
enum { COLUMN_COUNTS = 0, COLUMN_VARIANCE = 4, COLUMN_SAMPLES = 6, COLUMNS_EXACT = 4, COLUMNS_SAMPLED = 8 };

static uint64_t column_value(const struct totals *t, int column) {
    uint64_t bits;
    if (column < COLUMN_VARIANCE) return t->counts[column - COLUMN_COUNTS];
    if (column >= COLUMN_SAMPLES) return t->samples[column - COLUMN_SAMPLES];
    memcpy(&bits, &t->variance[column - COLUMN_VARIANCE], sizeof bits);
    return bits;
}

static uint8_t width_of(uint64_t max) {
    return max <= UINT8_MAX ? 1 : max <= UINT16_MAX ? 2 : max <= UINT32_MAX ? 4 : 8;
}

// The lists of ids are walked once for each column to find its width, once more to write it: no second table is kept.
struct column_source {
    const struct tally *tally;
    const uint32_t *ids;
    uint64_t count;
    uint32_t phases;
};

static uint64_t value_at(const struct column_source *s, int column, uint64_t row) {
    if (column < 0) return s->ids[row];
    struct totals t = tally_of(s->tally, s->ids[row], s->phases);
    return column_value(&t, column);
}

static void encode_column(const struct column_source *s, int column, struct buf *ret) {
    uint64_t max = 0;
    for (uint64_t row = 0; row < s->count; row++) max = max_u64(max, value_at(s, column, row));
    bool is_double = column >= COLUMN_VARIANCE && column < COLUMN_SAMPLES;
    uint8_t head[8] = {is_double ? 8 : width_of(max)};
    buf_put(ret, head, sizeof head);
    uint8_t *place = buf_grow(ret, s->count * head[0]);
    for (uint64_t row = 0; place && row < s->count; row++, place += head[0]) {
        uint64_t value = value_at(s, column, row);
        memcpy(place, &value, head[0]); // little-endian
    }
    buf_pad8(ret);
}

static void list_dirty(const struct tally *tally, uint32_t phases, struct buf *ids) {
    buf_clear(ids);
    for (uint32_t word = 0, n = tally_words(tally); word < n; word++)
        for (uint64_t bits = tally_dirty_word(tally, word, phases); bits; bits &= bits - 1) {
            uint32_t id = word * 64 + (uint32_t)__builtin_ctzll(bits);
            buf_put(ids, &id, sizeof id);
        }
}

bool encode_snapshot(const struct tally *tally, uint32_t phases, struct ht_rec_snapshot head, struct buf *ids,
                     struct buf *ret) {
    list_dirty(tally, phases, ids);
    // What is written are totals: a program that shuts down is both phases together, whichever of them changed.
    struct column_source source = {tally, (const uint32_t *)(const void *)ids->data, ids->len / 4, phases};
    int columns = tally->mode == HT_MODE_EXACT ? COLUMNS_EXACT : COLUMNS_SAMPLED;
    head.columns = (uint32_t)columns + 1;
    head.count = source.count;
    buf_clear(ret);
    buf_put(ret, &head, sizeof head);
    for (int column = -1; column < columns; column++) encode_column(&source, column, ret);
    return !ret->failed && !ids->failed;
}

// ---- Stacks ---------------------------------------------------------------------------------------------------------

void stack_batch_deinit(struct stack_batch *batch) {
    buf_deinit(&batch->payload);
    buf_deinit(&batch->last);
    *batch = (struct stack_batch){0};
}

void stack_batch_clear(struct stack_batch *batch) {
    buf_clear(&batch->payload);
    buf_clear(&batch->last);
    batch->count = batch->last_id = 0;
}

// How many root-most frames two stacks (leaf first) share.
static uint32_t shared_roots(const uint64_t *a, uint32_t a_depth, const uint64_t *b, uint32_t b_depth) {
    uint32_t n = 0, most = a_depth < b_depth ? a_depth : b_depth;
    while (n < most && a[a_depth - 1 - n] == b[b_depth - 1 - n]) n++;
    return n;
}

void stack_batch_add(struct stack_batch *batch, uint32_t id, uint32_t flags, const uint64_t *pcs, uint32_t depth) {
    if (!batch->count) buf_put(&batch->payload, &(struct ht_rec_stacks){0}, sizeof(struct ht_rec_stacks));
    uint32_t last_depth = (uint32_t)(batch->last.len / 8);
    uint32_t keep = shared_roots((const uint64_t *)(const void *)batch->last.data, last_depth, pcs, depth);
    buf_put_varint(&batch->payload, zigzag((int64_t)id - (int64_t)batch->last_id));
    buf_put_varint(&batch->payload, flags);
    buf_put_varint(&batch->payload, keep);
    buf_put_varint(&batch->payload, depth - keep);
    uint64_t previous = keep ? pcs[depth - keep] : 0;
    for (uint32_t i = depth - keep; i-- > 0; previous = pcs[i])
        buf_put_varint(&batch->payload, zigzag((int64_t)(pcs[i] - previous)));
    buf_clear(&batch->last);
    buf_put(&batch->last, pcs, (size_t)depth * 8);
    batch->last_id = id;
    batch->count++;
}

const struct buf *stack_batch_finish(struct stack_batch *batch) {
    if (!batch->count || batch->payload.failed) return NULL;
    memcpy(batch->payload.data, &batch->count, sizeof batch->count);
    return &batch->payload;
}
