// SPDX-License-Identifier: Apache-2.0
// columns.h: a column of numbers as format.h's struct ht_column: most by their low bytes, the few large ones apart. Bytes in,
// bytes out; what is read is hostile.
#ifndef HEAPTIDE_COLUMNS_H
#define HEAPTIDE_COLUMNS_H

#include "util.h"

void column_put(struct buf *ret, const uint64_t *values, size_t count);
// IEEE doubles, by their bits. `rounded`: as floats, where all of them fit.
void column_put_doubles(struct buf *ret, const uint64_t *values, size_t count, bool rounded);

struct column_source {
    const uint8_t *at, *end; // what is left of the payload
};
// The next column. False: it does not lie within the payload, or contradicts itself.
bool column_get(struct column_source *source, uint64_t *ret, size_t count);
bool column_get_doubles(struct column_source *source, uint64_t *ret, size_t count);

#endif
