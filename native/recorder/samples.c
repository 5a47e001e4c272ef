// SPDX-License-Identifier: Apache-2.0
#include "samples.h"

#include <math.h>
#include <stdlib.h>

// What a hostile or half-written entry holds must not be able to do harm: sizes are kept within an address space.
static const uint64_t MOST_BYTES = 1ull << 47;

static bool is_sound(const struct ht_live_sample *s) {
    bool range = s->address && s->address < MOST_BYTES && s->size < MOST_BYTES && s->address + s->size < MOST_BYTES;
    return range && s->bytes >= s->size && s->bytes < 1ull << 60 && s->variance >= 0 && s->variance < 1e36;
}

static struct block block_of(const struct ht_live_sample *s) {
    double size = s->size ? (double)s->size : 1;
    return (struct block){.start = s->address,
                          .end = s->address + s->size,
                          .rounding = s->rounding,
                          .weight = (double)s->bytes / size,
                          .variance = s->variance / (size * size),
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
static double rounding(const struct block *b) { return (double)b->rounding; }
static double absent(const struct block *b) { return requested(b) - (double)min_u64(b->resident, b->end - b->start); }
// What the count does not say: where it is exact, what was requested; else, that as well.
static double beside_count(const struct block *b) { return rounding(b) - absent(b); }
static double held(const struct block *b) { return requested(b) + rounding(b) - absent(b); }

static struct estimate estimate(const struct buf *blocks, double (*what)(const struct block *)) {
    const struct block *block = (const struct block *)(const void *)blocks->data;
    double sum = 0, variance = 0;
    for (size_t i = 0; i < blocks->len / sizeof *block; i++) {
        double x = what(&block[i]);
        sum += x * block[i].weight;
        variance += x * x * block[i].variance;
    }
    return (struct estimate){sum, sqrt(variance)};
}

struct sample_sums samples_sum(const struct buf *blocks, bool exact) {
    return (struct sample_sums){.requested = estimate(blocks, requested),
                                .rounding = estimate(blocks, rounding),
                                .absent = estimate(blocks, absent),
                                .held = estimate(blocks, exact ? beside_count : held)};
}
