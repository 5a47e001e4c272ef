// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "encode.h"

#include <string.h>

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

// ---- Stacks that were written before --------------------------------------------------------------------------------

struct numbers {
    const uint8_t *at, *end;
    bool failed;
};

static uint64_t next_number(struct numbers *n) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && n->at < n->end; shift += 7) {
        uint8_t byte = *n->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    n->failed = true;
    return 0;
}

static uint64_t unzigzag(uint64_t value) { return value >> 1 ^ -(value & 1); }

// The addresses of one stack into `pcs`, root first, behind those that it shares with the one before.
static bool next_stack(struct numbers *n, uint64_t *pcs, uint32_t *depth) {
    uint64_t keep = next_number(n), more = next_number(n);
    if (n->failed || keep > *depth || more > HT_MAX_DEPTH - keep) return false;
    for (uint64_t i = keep; i < keep + more; i++) pcs[i] = (i ? pcs[i - 1] : 0) + unzigzag(next_number(n));
    *depth = (uint32_t)(keep + more);
    return !n->failed;
}

bool stack_batch_add_unfolded(struct stack_batch *batch, const uint8_t *payload, size_t bytes, const uint64_t *folded,
                              uint32_t max_id) {
    uint64_t pcs[HT_MAX_DEPTH], leaf_first[HT_MAX_DEPTH], id = 0;
    struct numbers n = {payload + sizeof(struct ht_rec_stacks), payload + bytes, bytes < sizeof(struct ht_rec_stacks)};
    uint32_t depth = 0;
    while (!n.failed && n.at < n.end) {
        id += unzigzag(next_number(&n));
        uint32_t flags = (uint32_t)next_number(&n);
        if (id > max_id || !next_stack(&n, pcs, &depth)) return false;
        if (folded[id / 64] >> id % 64 & 1) continue;
        for (uint32_t i = 0; i < depth; i++) leaf_first[i] = pcs[depth - 1 - i];
        stack_batch_add(batch, (uint32_t)id, flags, leaf_first, depth);
    }
    return !n.failed;
}
