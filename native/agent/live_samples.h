// SPDX-License-Identifier: Apache-2.0
// live_samples.h: the sampled blocks that are in use, told in the books: where each lies, how large it is and when it was
// allocated. From that the recorder sees what of the heap is resident, what the allocator rounds up, and what survives.
//
// In sampled mode they are the samples that are counted. In exact mode, where every block is, some are drawn beside the
// count in the same way.
#ifndef HEAPTIDE_LIVE_SAMPLES_H
#define HEAPTIDE_LIVE_SAMPLES_H

#include "books.h"
#include "table.h"

void ht_live_samples_init(void); // for new books: none is in use

// Tells of `block` of `size` bytes and what it stands for. Its slot from 1 on, for ht_block.slot; 0: no room for it.
uint32_t ht_live_samples_put(struct ht_books *b, const void *block, size_t size, const struct ht_block *what);
void ht_live_samples_weigh(struct ht_books *b, const struct ht_block *what); // it stands for something else now
// It is gone. A slot that another block has by now is left alone.
void ht_live_samples_drop(struct ht_books *b, uint32_t slot, uint64_t address);

// Exact mode: the mean interval that the next gap is drawn with.
uint64_t ht_live_samples_interval(void);
// One more was drawn. As they grow many the interval doubles; when there was no room for it, half of them are let go, some at a
// time. Advances *random (never 0).
void ht_live_samples_drawn(struct ht_books *b, bool kept, uint64_t *random);

#endif
