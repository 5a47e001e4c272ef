// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "columns.h"

#include "format.h"

#include <math.h>
#include <string.h>

enum { WIDTHS = 9, EXCEPTION_BYTES = sizeof(uint32_t) + sizeof(uint64_t), FLOAT_WIDTH = 4, DOUBLE_WIDTH = 8 };

static unsigned width_of(uint64_t value) { return value ? (71 - (unsigned)__builtin_clzll(value)) / 8 : 0; }

// ---- Writing --------------------------------------------------------------------------------------------------------

// The width that takes the fewest bytes, with what does not fit it as exceptions.
static unsigned best_width(const uint64_t *values, size_t count, uint32_t *ret_exceptions) {
    size_t of_width[WIDTHS] = {0}, wider = 0, least = SIZE_MAX;
    unsigned best = WIDTHS - 1;
    *ret_exceptions = 0;
    for (size_t i = 0; i < count; i++) of_width[width_of(values[i])]++;
    for (unsigned width = WIDTHS; width-- > 0;) {
        size_t bytes = width * count + wider * EXCEPTION_BYTES;
        if (bytes <= least) {
            least = bytes;
            best = width;
            *ret_exceptions = (uint32_t)wider;
        }
        wider += of_width[width];
    }
    return best;
}

static void put_head(struct buf *ret, unsigned width, uint32_t exceptions) {
    struct ht_column head = {.width = (uint8_t)width, .exceptions = exceptions};
    buf_put(ret, &head, sizeof head);
}

static void put_exceptions(struct buf *ret, const uint64_t *values, size_t count, unsigned width) {
    for (uint32_t row = 0; row < count; row++)
        if (width_of(values[row]) > width) buf_put(ret, &row, sizeof row);
    buf_pad8(ret);
    for (size_t row = 0; row < count; row++)
        if (width_of(values[row]) > width) buf_put(ret, &values[row], sizeof *values);
}

// Eight bytes are stored for each, of which the next one overwrites what is too much: so there is room for 7 more behind.
static void put_narrow(struct buf *ret, const uint64_t *values, size_t count, unsigned width) {
    uint8_t *place = buf_grow(ret, count * width + 8);
    if (!place) return;
    for (size_t i = 0; i < count; i++, place += width) {
        uint64_t value = width_of(values[i]) > width ? 0 : values[i];
        memcpy(place, &value, sizeof value);
    }
    memset(place, 0, 8);
    ret->len -= 8;
    buf_pad8(ret);
}

void column_put(struct buf *ret, const uint64_t *values, size_t count) {
    uint32_t exceptions;
    unsigned width = best_width(values, count, &exceptions);
    put_head(ret, width, exceptions);
    if (width) put_narrow(ret, values, count, width);
    if (exceptions) put_exceptions(ret, values, count, width);
}

static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t float_bits(uint64_t bits) {
    float value = (float)double_of(bits);
    uint32_t narrow;
    memcpy(&narrow, &value, sizeof narrow);
    return narrow;
}

void column_put_doubles(struct buf *ret, const uint64_t *values, size_t count, bool rounded) {
    size_t nonzero = 0;
    for (size_t i = 0; i < count; i++) {
        nonzero += values[i] != 0;
        rounded = rounded && isfinite((float)double_of(values[i]));
    }
    unsigned width = rounded ? FLOAT_WIDTH : DOUBLE_WIDTH;
    if (nonzero * EXCEPTION_BYTES < count * width || !nonzero) {
        put_head(ret, 0, (uint32_t)nonzero);
        put_exceptions(ret, values, count, 0);
        return;
    }
    put_head(ret, width, 0);
    uint8_t *place = buf_grow(ret, count * width);
    for (size_t i = 0; place && i < count; i++, place += width) {
        uint64_t bits = rounded ? float_bits(values[i]) : values[i];
        memcpy(place, &bits, width); // little-endian
    }
    buf_pad8(ret);
}

// ---- Reading --------------------------------------------------------------------------------------------------------

static const uint8_t *take(struct column_source *source, size_t bytes) {
    const uint8_t *at = source->at;
    size_t padded = (bytes + 7) & ~(size_t)7;
    if (bytes > SIZE_MAX - 7 || padded > (size_t)(source->end - at)) return NULL;
    source->at += padded;
    return at;
}

// Whole words are loaded and cut down, but for the last few, behind which there may be nothing.
static void widen(const uint8_t *narrow, unsigned width, uint64_t *ret, size_t count) {
    if (!width) {
        memset(ret, 0, count * sizeof *ret);
        return;
    }
    uint64_t mask = width < sizeof mask ? (1ull << 8 * width) - 1 : UINT64_MAX;
    size_t last = count < sizeof mask ? 0 : count - sizeof mask;
    for (size_t i = 0; i < last; i++, narrow += width) {
        memcpy(&ret[i], narrow, sizeof *ret);
        ret[i] &= mask;
    }
    for (size_t i = last; i < count; i++, narrow += width) {
        ret[i] = 0;
        memcpy(&ret[i], narrow, width);
    }
}

static bool get_exceptions(struct column_source *source, uint32_t exceptions, uint64_t *ret, size_t count) {
    const uint8_t *rows = take(source, exceptions * sizeof(uint32_t));
    const uint8_t *values = take(source, exceptions * sizeof(uint64_t));
    if (!rows || !values) return false;
    for (size_t i = 0; i < exceptions; i++) {
        uint32_t row;
        memcpy(&row, rows + 4 * i, sizeof row);
        if (row >= count) return false;
        memcpy(&ret[row], values + 8 * i, sizeof *ret);
    }
    return true;
}

static bool get_column(struct column_source *source, uint64_t *ret, size_t count, unsigned *ret_width) {
    struct ht_column head;
    const uint8_t *at = take(source, sizeof head);
    if (!at) return false;
    memcpy(&head, at, sizeof head);
    *ret_width = head.width;
    if (head.width > 8 || head.exceptions > count) return false;
    const uint8_t *narrow = take(source, count * head.width);
    if (!narrow) return false;
    widen(narrow, head.width, ret, count);
    return !head.exceptions || get_exceptions(source, head.exceptions, ret, count);
}

bool column_get(struct column_source *source, uint64_t *ret, size_t count) {
    unsigned width;
    return get_column(source, ret, count, &width);
}

bool column_get_doubles(struct column_source *source, uint64_t *ret, size_t count) {
    unsigned width;
    if (!get_column(source, ret, count, &width)) return false;
    for (size_t i = 0; width == FLOAT_WIDTH && i < count; i++) {
        uint32_t bits = (uint32_t)ret[i];
        float narrow;
        memcpy(&narrow, &bits, sizeof narrow);
        double value = narrow;
        memcpy(&ret[i], &value, sizeof value);
    }
    return true;
}
