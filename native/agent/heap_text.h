// SPDX-License-Identifier: Apache-2.0
// heap_text.h: gperftools' text form of a heap profile, made of the counters at one moment.
#ifndef HEAPTIDE_HEAP_TEXT_H
#define HEAPTIDE_HEAP_TEXT_H

#include "books.h"

// Where the text goes: a descriptor, or memory that grows by realloc of the next allocator.
struct ht_text {
    int fd; // -1: memory
    char *memory;
    uint64_t used, room;
    uint64_t written; // to the descriptor
    long failed;      // the first negative errno
};

// Totals per stack id at a cut through all lanes; `max_ids` counters, borrowed. NULL: no memory.
// Private books are drained (their buffers begin again at zero); of shared books, whose epoch is the recorder's, a reading in
// passing is taken, in which operations under way may be missing.
struct ht_counter *ht_heap_totals(struct ht_books *b, bool drain);
void ht_heap_totals_reset(void);

// Which records are written. The header line sums blocks alone, as gperftools' does.
enum ht_text_kinds { HT_TEXT_BLOCKS = 1, HT_TEXT_MAPPINGS = 2 };

void ht_heap_text_write(struct ht_text *out, const struct ht_counter *totals, uint32_t ids, enum ht_text_kinds kinds);

// The single numbers' decimal digits, ending at `end`; gives the first.
char *ht_decimal(char *end, uint64_t value);

#endif
