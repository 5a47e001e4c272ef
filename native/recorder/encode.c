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
