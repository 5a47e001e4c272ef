// SPDX-License-Identifier: Apache-2.0
#include "ages.h"

#include "format.h"
#include "samples.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MARKS = 1 << 16, SHARE = 4 };
static const uint64_t LEAST_NS = 200 * (uint64_t)NS_PER_MS;

struct mark {
    uint32_t epoch; // low bits, as the agent keeps them
    uint32_t number;
};

void ages_init(struct ages *ages) {
    *ages = (struct ages){.begun_ns = moment_now().boottime_ns};
    ages->last_ns = ages->begun_ns;
}

void ages_deinit(struct ages *ages) {
    buf_deinit(&ages->marks);
    buf_deinit(&ages->blocks);
    buf_deinit(&ages->rows);
}

// ---- Epochs and snapshots -----------------------------------------------------------------------------------------------

// Of very many, every second one is let go: births are then told by the next that is left.
static void halve(struct buf *marks) {
    struct mark *mark = (struct mark *)(void *)marks->data;
    size_t kept = 0, count = marks->len / sizeof *mark;
    for (size_t i = 1; i < count; i += 2) mark[kept++] = mark[i];
    marks->len = kept * sizeof *mark;
}

void ages_mark(struct ages *ages, uint64_t epoch, uint32_t number) {
    struct mark mark = {(uint32_t)epoch, number};
    if (ages->marks.len >= MOST_MARKS * sizeof mark) halve(&ages->marks);
    buf_put(&ages->marks, &mark, sizeof mark);
}

// The first snapshot that a block can be in that was allocated in the epoch `born`; 0: none that was written.
static uint32_t snapshot_of(const struct ages *ages, uint32_t born) {
    const struct mark *mark = (const struct mark *)(const void *)ages->marks.data;
    size_t low = 0, high = ages->marks.len / sizeof *mark, count = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((int32_t)(mark[middle].epoch - born) <= 0) // it was allocated after that one
            low = middle + 1;
        else
            high = middle;
    }
    return low < count ? mark[low].number : 0;
}

bool ages_due(const struct ages *ages, uint64_t now) {
    return now >= ages->last_ns + LEAST_NS && (now - ages->last_ns) * SHARE >= now - ages->begun_ns;
}

// ---- Rows ----------------------------------------------------------------------------------------------------------------

static int by_stack_and_birth(const void *a, const void *b) {
    const struct ht_rec_age *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->born < y->born ? -1 : x->born > y->born;
}

static void put_rows(struct ages *ages, uint32_t now) {
    const struct block *block = (const struct block *)(const void *)ages->blocks.data;
    buf_clear(&ages->rows);
    for (size_t i = 0; i < ages->blocks.len / sizeof *block; i++) {
        const struct block *b = &block[i];
        double size = (double)(b->end - b->start);
        uint32_t born = snapshot_of(ages, b->born);
        struct ht_rec_age row = {.id = b->id,
                                 .born = born && born <= now ? born : now,
                                 .bytes = (uint64_t)(size * b->weight),
                                 .variance = (float)(size * size * b->variance),
                                 .objects = (float)b->weight};
        if (size > 0) buf_put(&ages->rows, &row, sizeof row);
    }
}

// Births rounded up to multiples of 2^shift, rows of one stack and birth added up.
static size_t fold(struct buf *rows, unsigned shift, uint32_t now) {
    struct ht_rec_age *row = (struct ht_rec_age *)(void *)rows->data;
    size_t kept = 0, count = rows->len / sizeof *row;
    uint64_t step = 1ull << shift;
    for (size_t i = 0; i < count; i++) row[i].born = (uint32_t)min_u64((row[i].born + step - 1) / step * step, now);
    if (count) qsort(row, count, sizeof *row, by_stack_and_birth);
    for (size_t i = 0; i < count; i++) {
        if (kept && by_stack_and_birth(&row[kept - 1], &row[i]) == 0) {
            row[kept - 1].bytes += row[i].bytes;
            row[kept - 1].variance += row[i].variance;
            row[kept - 1].objects += row[i].objects;
        } else {
            row[kept++] = row[i];
        }
    }
    rows->len = kept * sizeof *row;
    return kept;
}

static int by_bytes(const void *a, const void *b) {
    const struct ht_rec_age *x = a, *y = b;
    return x->bytes > y->bytes ? -1 : x->bytes < y->bytes;
}

bool ages_encode(struct ages *ages, const struct books *books, uint32_t number, uint64_t now, struct buf *ret) {
    ages->last_ns = now;
    if (!samples_read(books, &ages->blocks) || !ages->blocks.len) return false;
    put_rows(ages, number);
    unsigned shift = 0;
    while (fold(&ages->rows, shift, number) > AGES_MOST && shift < 31) shift++;
    struct ht_rec_age *row = (struct ht_rec_age *)(void *)ages->rows.data;
    size_t count = ages->rows.len / sizeof *row, kept = min_u64(count, AGES_MOST);
    struct ht_rec_ages head = {.snapshot = number, .count = (uint32_t)kept, .step = 1u << shift, .boottime_ns = now};
    if (kept < count) qsort(row, count, sizeof *row, by_bytes);
    for (size_t i = kept; i < count; i++) head.left_out_bytes += row[i].bytes;
    if (kept < count) qsort(row, kept, sizeof *row, by_stack_and_birth);
    buf_clear(ret);
    buf_put(ret, &head, sizeof head);
    buf_put(ret, row, kept * sizeof *row);
    return !ages->rows.failed && !ret->failed;
}
