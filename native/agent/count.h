// SPDX-License-Identifier: Apache-2.0
// count.h: what one block adds to the counters of its stack. All within an operation's window (thread.h).
#ifndef HEAPTIDE_COUNT_H
#define HEAPTIDE_COUNT_H

#include "table.h"
#include "thread.h"

void ht_count_alloc(struct ht_books *b, const struct ht_operation *o, const struct ht_block *what);
void ht_count_free(struct ht_books *b, const struct ht_operation *o, const struct ht_block *what);

// The same two with a window of their own. Nothing is counted where there are no counters left at all.
void ht_count_free_now(struct ht_books *b, struct ht_thread *t, const struct ht_block *what);
// Two live samples of `id` became one (thin.h): what is in use is known less well, by so much (bytes squared).
void ht_count_merged_now(struct ht_books *b, uint32_t id, double variance);

static inline struct ht_lane *ht_lane_of(struct ht_books *b, const struct ht_thread *t) {
    return t ? t->lane : ht_books_lane(b, 0);
}

#endif
