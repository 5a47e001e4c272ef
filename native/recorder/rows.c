// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "rows.h"

#include "columns.h"

#include <string.h>

void rows_clear(struct rows *rows, int columns) {
    rows->count = 0;
    rows->columns = columns;
    buf_clear(&rows->ids);
    for (int c = 0; c < ROW_COLUMNS; c++) buf_clear(&rows->values[c]);
}

void rows_deinit(struct rows *rows) {
    buf_deinit(&rows->ids);
    for (int c = 0; c < ROW_COLUMNS; c++) buf_deinit(&rows->values[c]);
}

void rows_add(struct rows *rows, uint32_t id, const uint64_t *values) {
    uint32_t *id_place = buf_grow(&rows->ids, sizeof id);
    if (id_place) *id_place = id;
    for (int c = 0; c < rows->columns; c++) {
        uint64_t *place = buf_grow(&rows->values[c], sizeof *place);
        if (place) *place = values[c];
    }
    rows->count++;
}

bool rows_failed(const struct rows *rows) {
    bool failed = rows->ids.failed;
    for (int c = 0; c < rows->columns; c++) failed |= rows->values[c].failed;
    return failed;
}

static void row_of(const struct totals *t, uint64_t *ret) {
    ret[ROW_ALLOC_BYTES] = t->counts[0];
    ret[ROW_IN_USE_BYTES] = t->counts[0] - t->counts[2];
    ret[ROW_ALLOC_OBJECTS] = t->counts[1];
    ret[ROW_IN_USE_OBJECTS] = t->counts[1] - t->counts[3];
    double in_use = t->variance[0] > t->variance[1] ? t->variance[0] - t->variance[1] : 0;
    memcpy(&ret[ROW_ALLOC_VARIANCE], &t->variance[0], sizeof in_use);
    memcpy(&ret[ROW_IN_USE_VARIANCE], &in_use, sizeof in_use);
    ret[ROW_ALLOC_SAMPLES] = t->samples[0];
    ret[ROW_IN_USE_SAMPLES] = t->samples[0] - t->samples[1];
}

static bool is_any_dirty(const struct tally *tally, const uint64_t *ids, uint32_t phases) {
    for (uint32_t word = 0, n = tally_words(tally); word < n; word++)
        if (ids[word] && tally_dirty_word(tally, word, phases) & ids[word]) return true;
    return false;
}

void rows_take_dirty(struct rows *rows, const struct tally *tally, const uint64_t *folded, uint32_t phases) {
    rows_clear(rows, tally->mode == HT_MODE_EXACT ? ROW_EXACT_COLUMNS : ROW_COLUMNS);
    bool any_folded = folded && is_any_dirty(tally, folded, phases);
    for (uint32_t word = 0, n = tally_words(tally); word < n; word++) {
        uint64_t bits = tally_dirty_word(tally, word, phases) & (folded ? ~folded[word] : UINT64_MAX);
        if (word == 0) bits &= ~(1ull << HT_ID_NONE); // counted in damaged books alone; distances begin at 1
        if (word == 0 && any_folded) bits |= 1ull << HT_ID_FOLDED;
        for (; bits; bits &= bits - 1) {
            uint32_t id = word * 64 + (uint32_t)__builtin_ctzll(bits);
            uint64_t row[ROW_COLUMNS];
            // Totals: a program that shuts down is both phases together, whichever of them changed.
            bool is_sum = any_folded && id == HT_ID_FOLDED;
            struct totals totals = is_sum ? tally_sum_of(tally, folded, phases) : tally_of(tally, id, phases);
            row_of(&totals, row);
            rows_add(rows, id, row);
        }
    }
}

// ---- As bytes -------------------------------------------------------------------------------------------------------

static bool is_double(int column) { return column == ROW_ALLOC_VARIANCE || column == ROW_IN_USE_VARIANCE; }

static void put_ids(const struct rows *rows, struct buf *ret) {
    struct buf distances = {0};
    const uint32_t *ids = rows_ids(rows);
    uint64_t *place = buf_grow(&distances, rows->count * sizeof *place);
    for (size_t i = 0; place && i < rows->count; i++) place[i] = ids[i] - (i ? ids[i - 1] : 0);
    if (place || !rows->count) column_put(ret, place, rows->count);
    ret->failed |= distances.failed;
    buf_deinit(&distances);
}

bool rows_encode(const struct rows *rows, struct ht_rec_packed head, bool rounded, struct buf *ret) {
    head.snapshot.columns = 1 + (uint32_t)rows->columns;
    head.snapshot.count = rows->count;
    buf_clear(ret);
    buf_put(ret, &head, sizeof head);
    put_ids(rows, ret);
    for (int c = 0; c < rows->columns; c++)
        if (is_double(c))
            column_put_doubles(ret, rows_column(rows, c), rows->count, rounded);
        else
            column_put(ret, rows_column(rows, c), rows->count);
    return !ret->failed && !rows_failed(rows);
}

// Distances to ids, in the place that held them.
static bool take_ids(struct rows *rows, struct column_source *source, uint32_t max_id) {
    uint64_t *distances = buf_grow(&rows->values[0], rows->count * sizeof *distances), id = 0;
    uint32_t *ids = buf_grow(&rows->ids, rows->count * sizeof *ids);
    if (!distances || !ids || !column_get(source, distances, rows->count)) return false;
    for (size_t i = 0; i < rows->count; i++) {
        if (!distances[i] || distances[i] > max_id - id) return false;
        ids[i] = (uint32_t)(id += distances[i]);
    }
    buf_clear(&rows->values[0]);
    return true;
}

static bool begin(struct rows *rows, const void *payload, size_t bytes, struct ht_rec_packed *ret,
                  struct column_source *source) {
    if (bytes < sizeof *ret) return false;
    memcpy(ret, payload, sizeof *ret);
    *source = (struct column_source){(const uint8_t *)payload + sizeof *ret, (const uint8_t *)payload + bytes};
    uint64_t columns = ret->snapshot.columns, count = ret->snapshot.count;
    if ((columns != 1 + ROW_EXACT_COLUMNS && columns != 1 + ROW_COLUMNS) || count > bytes) return false;
    rows_clear(rows, (int)columns - 1);
    rows->count = count;
    return true;
}

bool rows_decode_ids(struct rows *rows, const void *payload, size_t bytes, uint32_t max_id, struct ht_rec_packed *ret) {
    struct column_source source;
    return begin(rows, payload, bytes, ret, &source) && (!rows->count || take_ids(rows, &source, max_id));
}

bool rows_decode(struct rows *rows, const void *payload, size_t bytes, uint32_t max_id, struct ht_rec_packed *ret) {
    struct column_source source;
    if (!begin(rows, payload, bytes, ret, &source)) return false;
    if (!rows->count) return true;
    if (!take_ids(rows, &source, max_id)) return false;
    for (int c = 0; c < rows->columns; c++) {
        uint64_t *values = buf_grow(&rows->values[c], rows->count * sizeof *values);
        if (!values) return false;
        if (!(is_double(c) ? column_get_doubles : column_get)(&source, values, rows->count)) return false;
    }
    return true;
}
