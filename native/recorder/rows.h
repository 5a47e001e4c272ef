// SPDX-License-Identifier: Apache-2.0
// rows.h: the rows of one snapshot, column by column, in the order and the units of format.h's PACKED: ids ascending, then
// what was allocated and what of it is in use.
#ifndef HEAPTIDE_ROWS_H
#define HEAPTIDE_ROWS_H

#include "format.h"
#include "tally.h"
#include "util.h"

enum {
    ROW_ALLOC_BYTES,
    ROW_IN_USE_BYTES,
    ROW_ALLOC_OBJECTS,
    ROW_IN_USE_OBJECTS,
    ROW_EXACT_COLUMNS,
    ROW_ALLOC_VARIANCE = ROW_EXACT_COLUMNS, // doubles, by their bits
    ROW_IN_USE_VARIANCE,
    ROW_ALLOC_SAMPLES,
    ROW_IN_USE_SAMPLES,
    ROW_COLUMNS
};

struct rows {
    size_t count;
    int columns; // ROW_EXACT_COLUMNS or ROW_COLUMNS
    struct buf ids;
    struct buf values[ROW_COLUMNS];
};

static inline const uint32_t *rows_ids(const struct rows *rows) { return (const void *)rows->ids.data; }
static inline const uint64_t *rows_column(const struct rows *rows, int column) {
    return (const void *)rows->values[column].data;
}

void rows_clear(struct rows *rows, int columns);
void rows_deinit(struct rows *rows);
// `values`: rows->columns of them. Ids come in ascending order.
void rows_add(struct rows *rows, uint32_t id, const uint64_t *values);
bool rows_failed(const struct rows *rows); // for want of memory
// What changed in `phases`. Ids whose bits are set in `folded` (NULL: none) are one row, of HT_ID_FOLDED.
void rows_take_dirty(struct rows *rows, const struct tally *tally, const uint64_t *folded, uint32_t phases);

// A PACKED payload. `head` has everything but the number of rows and columns filled in. `rounded`: variances as floats.
// False: no memory.
bool rows_encode(const struct rows *rows, struct ht_rec_packed head, bool rounded, struct buf *ret);
// The ids alone, or all; ids from 1 to `max_id`, ascending. False: not what rows_encode() makes, or no memory.
bool rows_decode_ids(struct rows *rows, const void *payload, size_t bytes, uint32_t max_id, struct ht_rec_packed *ret);
bool rows_decode(struct rows *rows, const void *payload, size_t bytes, uint32_t max_id, struct ht_rec_packed *ret);

#endif
