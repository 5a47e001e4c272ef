// SPDX-License-Identifier: Apache-2.0
#include "owners.h"

#include <stdlib.h>
#include <unistd.h>

// Memory comes in whole pages, whatever was asked for.
static void put_owned(struct buf *ret, const struct ht_range *range, uint32_t kind, uint32_t id) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct owned owned = {range->start & ~(page - 1), (range->end + page - 1) & ~(page - 1), kind, id};
    if (range->start && owned.start < owned.end) buf_put(ret, &owned, sizeof owned);
}

static void put_agents(const struct books *books, struct buf *scratch, struct buf *ret) {
    size_t count = (size_t)min_u64(load_acquire(&books_live(books)->own_used), books->own_slots);
    buf_clear(scratch);
    const struct ht_range *ranges = buf_grow(scratch, count * sizeof *ranges);
    if (!ranges || !books_read_table(books, books->own_offset, scratch->data, count * sizeof *ranges)) return;
    for (size_t i = 0; i < count; i++) put_owned(ret, &ranges[i], EXTENT_AGENT, 0);
}

// A copy made while they changed is none. Programs map rarely, and a change takes well under a microsecond.
static bool read_regions(const struct books *books, struct buf *ret) {
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        uint64_t seq = load_acquire(&books_live(books)->regions_seq);
        size_t bytes = (size_t)min_u64(load_relaxed(&books_live(books)->regions_used), books->region_slots) *
                       sizeof(struct ht_range);
        buf_clear(ret);
        if (bytes && (!buf_grow(ret, bytes) || !books_read_table(books, books->regions_offset, ret->data, bytes)))
            return false;
        if (!(seq & 1) && load_acquire(&books_live(books)->regions_seq) == seq) return true;
    }
    buf_clear(ret);
    return false;
}

static int by_start(const void *a, const void *b) {
    uint64_t x = ((const struct owned *)a)->start, y = ((const struct owned *)b)->start;
    return x < y ? -1 : x > y;
}

// Of two that overlap the one that begins first has what both claim.
static void make_disjoint(struct buf *all) {
    struct owned *owned = (struct owned *)(void *)all->data;
    size_t count = all->len / sizeof *owned, kept = 0;
    if (count) qsort(owned, count, sizeof *owned, by_start);
    for (size_t i = 0; i < count; i++) {
        struct owned o = owned[i];
        if (kept) o.start = max_u64(o.start, owned[kept - 1].end);
        if (o.start < o.end) owned[kept++] = o;
    }
    all->len = kept * sizeof *owned;
}

bool owners_read(const struct books *books, struct buf *ret) {
    struct buf scratch = {0};
    buf_clear(ret);
    put_agents(books, &scratch, ret);
    bool good = read_regions(books, &scratch);
    const struct ht_range *regions = (const struct ht_range *)(const void *)scratch.data;
    for (size_t i = 0; i < scratch.len / sizeof *regions; i++)
        put_owned(ret, &regions[i], EXTENT_MAPPED, regions[i].id);
    good &= !ret->failed && !scratch.failed;
    buf_deinit(&scratch);
    make_disjoint(ret);
    return good;
}
