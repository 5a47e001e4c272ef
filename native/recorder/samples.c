// SPDX-License-Identifier: Apache-2.0
#include "samples.h"

#include <math.h>
#include <stdlib.h>

// What a hostile or half-written entry holds must not be able to do harm: sizes are kept within an address space.
static const uint64_t MOST_BYTES = 1ull << 47;

static bool is_sound(const struct ht_live_sample *s) {
    bool range = s->address && s->address < MOST_BYTES && s->size < MOST_BYTES && s->address + s->size < MOST_BYTES;
    return range && s->usable < MOST_BYTES && s->interval >= 1 && s->interval < MOST_BYTES;
}

static struct block block_of(const struct ht_live_sample *s) {
    uint64_t usable = max_u64(s->usable, s->size);
    double kept = -expm1(-((double)s->size + 1) / (double)s->interval);
    return (struct block){.start = s->address,
                          .end = s->address + s->size,
                          .usable = usable,
                          .weight = 1 / kept,
                          .id = s->id,
                          .born = s->born};
}

static int by_start(const void *a, const void *b) {
    uint64_t x = ((const struct block *)a)->start, y = ((const struct block *)b)->start;
    return x < y ? -1 : x > y;
}

bool samples_read(const struct books *books, struct buf *ret) {
    struct buf raw = {0};
    buf_clear(ret);
    size_t count = (size_t)min_u64(load_acquire(&books_live(books)->samples_used), books->sample_slots);
    size_t bytes = count * sizeof(struct ht_live_sample);
    bool good = buf_grow(&raw, bytes + 1) && books_read_table(books, books->samples_offset, raw.data, bytes);
    const struct ht_live_sample *samples = (const struct ht_live_sample *)(const void *)raw.data;
    for (size_t i = 0; good && i < count; i++) {
        struct block block = block_of(&samples[i]);
        if (is_sound(&samples[i])) buf_put(ret, &block, sizeof block);
    }
    buf_deinit(&raw);
    struct block *blocks = (struct block *)(void *)ret->data;
    size_t kept = 0, found = ret->len / sizeof *blocks;
    if (found) qsort(blocks, found, sizeof *blocks, by_start);
    for (size_t i = 0; i < found; i++) // one that was freed while we read, and its successor
        if (!kept || blocks[i].start >= blocks[kept - 1].end) blocks[kept++] = blocks[i];
    ret->len = kept * sizeof *blocks;
    return good && !ret->failed;
}

void samples_resident(struct buf *blocks, size_t *next, uint64_t start, uint64_t end) {
    struct block *block = (struct block *)(void *)blocks->data;
    size_t count = blocks->len / sizeof *block;
    while (*next < count && block[*next].end <= start) ++*next;
    for (size_t i = *next; i < count && block[i].start < end; i++) {
        uint64_t from = max_u64(block[i].start, start), to = min_u64(block[i].end, end);
        if (from < to) block[i].resident += to - from;
    }
}

static double requested(const struct block *b) { return (double)(b->end - b->start); }
static double rounding(const struct block *b) { return (double)b->usable - requested(b); }
static double absent(const struct block *b) { return requested(b) - (double)min_u64(b->resident, b->end - b->start); }
static double held(const struct block *b) { return (double)b->usable - absent(b); }

// The total of `what`; its error in itself, or as a ratio to what was requested.
static struct estimate estimate(const struct buf *blocks, double (*what)(const struct block *), double all,
                                bool exact) {
    const struct block *block = (const struct block *)(const void *)blocks->data;
    double sum = 0, variance = 0;
    size_t count = blocks->len / sizeof *block;
    for (size_t i = 0; i < count; i++) sum += what(&block[i]) * block[i].weight;
    double ratio = exact && all > 0 ? sum / all : 0;
    for (size_t i = 0; i < count; i++) {
        double w = block[i].weight, x = what(&block[i]) - ratio * requested(&block[i]);
        variance += x * x * (w - 1) * w; // (1 - p) / p^2 = w^2 - w
    }
    return (struct estimate){sum, sqrt(variance)};
}

struct sample_sums samples_sum(const struct buf *blocks, bool exact) {
    double all = estimate(blocks, requested, 0, false).bytes;
    return (struct sample_sums){.requested = all,
                                .rounding = estimate(blocks, rounding, all, exact),
                                .absent = estimate(blocks, absent, all, exact),
                                .held = estimate(blocks, held, all, exact)};
}
