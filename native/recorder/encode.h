// SPDX-License-Identifier: Apache-2.0
// encode.h: stacks as the bytes of format.h's records. No file, no process: bytes in, bytes out.
#ifndef HEAPTIDE_ENCODE_H
#define HEAPTIDE_ENCODE_H

#include "books.h"
#include "format.h"
#include "util.h"

// A STACKS payload that grows stack by stack. Correct when zeroed.
struct stack_batch {
    struct buf payload;
    uint32_t count;
    uint32_t last_id;
    struct buf last; // the previous stack's addresses, leaf first, as uint64_t
};
void stack_batch_deinit(struct stack_batch *batch);
void stack_batch_clear(struct stack_batch *batch);
void stack_batch_add(struct stack_batch *batch, uint32_t id, uint32_t flags, const uint64_t *pcs, uint32_t depth);
// Adds those stacks of a STACKS payload that are not folded (bit by id). False: it is not what stack_batch_finish() makes.
bool stack_batch_add_unfolded(struct stack_batch *batch, const uint8_t *payload, size_t bytes, const uint64_t *folded,
                              uint32_t max_id);
// The finished payload; NULL when it holds no stack or memory failed.
const struct buf *stack_batch_finish(struct stack_batch *batch);

#endif
