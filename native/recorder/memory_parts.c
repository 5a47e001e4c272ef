// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "memory_parts.h"

#include "format.h"
#include "owners.h"
#include "samples.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    SHARE = 200,      // one part in so many of the time may go into it
    NS_PER_PAGE = 60, // measured: 20 to 50 ns for each resident page of 4 KiB
    FIRST_NS = 20 * NS_PER_MS,
    MOST_IDS = 256, // stacks with a figure of their own; what is beyond goes under id 0
};
static const uint64_t UNASKABLE = 1ull << 62;    // the kernel's half of the addresses
static const uint64_t MOST_BY_READ = 1ull << 34; // reading pagemap goes through holes page by page

static void put_figure(struct buf *ret, uint32_t key, uint32_t id, uint64_t value) {
    struct ht_rec_figure figure = {.key = key, .id = id, .boottime_ns = moment_now().boottime_ns, .value = value};
    buf_put(ret, &figure, sizeof figure);
}

// By the system's clock, whoever drives the recorder's: a month in a second has no time for a reading beside each snapshot.
static uint64_t system_now_ns(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

// ---- Life ---------------------------------------------------------------------------------------------------------------

void parts_init(struct parts_source *source, const struct process *process) {
    *source = (struct parts_source){.maps_fd = -1, .pagemap_fd = -1, .read_at = system_now_ns()};
    if (process->dir < 0) return;
    source->maps_fd = openat(process->dir, "maps", O_RDONLY | O_CLOEXEC);
    source->pagemap_fd = openat(process->dir, "pagemap", O_RDONLY | O_CLOEXEC);
    source->pages = (struct pages){.fd = source->pagemap_fd, .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE)};
}

void parts_deinit(struct parts_source *source) {
    if (source->maps_fd >= 0) close(source->maps_fd);
    if (source->pagemap_fd >= 0) close(source->pagemap_fd);
    buf_deinit(&source->text);
    buf_deinit(&source->owners);
    buf_deinit(&source->samples);
    extents_deinit(&source->extents);
    source->maps_fd = source->pagemap_fd = -1;
}

// ---- Measuring ----------------------------------------------------------------------------------------------------------

struct walk {
    struct parts_source *source;
    struct extent *extent;
    size_t next_sample;
};

static void count_run(void *data, const struct page_run *run) {
    struct walk *walk = data;
    uint64_t bytes = run->end - run->start;
    if (run->swapped) {
        walk->extent->swapped += bytes;
        return;
    }
    walk->extent->resident += bytes;
    samples_resident(&walk->source->samples, &walk->next_sample, run->start, run->end);
}

static bool measure(struct parts_source *source) {
    struct walk walk = {.source = source};
    for (size_t i = 0; i < source->extents.count; i++) {
        struct extent *e = walk.extent = &source->extents.items[i];
        if (e->start >= UNASKABLE || (source->pages.by_read && e->end - e->start > MOST_BY_READ)) continue;
        if (!pages_walk(&source->pages, e->start, e->end, count_run, &walk)) return false;
    }
    return true;
}

// Where a block of the allocator lies is the allocator's, whatever it looked like.
static void tell_by_blocks(struct parts_source *source) {
    const struct block *block = (const struct block *)(const void *)source->samples.data;
    size_t count = source->samples.len / sizeof *block, next = 0;
    for (size_t i = 0; i < source->extents.count; i++) {
        struct extent *e = &source->extents.items[i];
        while (next < count && block[next].start < e->start) next++;
        bool has_block = next < count && block[next].start < e->end;
        bool by_neighbour = e->kind == EXTENT_OTHER || e->kind == EXTENT_STACK || e->kind == EXTENT_CODE;
        if (has_block && by_neighbour && !e->inode) e->kind = EXTENT_HEAP;
    }
}

// ---- Figures ------------------------------------------------------------------------------------------------------------

struct by_id {
    uint32_t id;
    uint64_t bytes;
};

static int by_id(const void *a, const void *b) {
    uint32_t x = ((const struct by_id *)a)->id, y = ((const struct by_id *)b)->id;
    return x < y ? -1 : x > y;
}

static int by_bytes(const void *a, const void *b) {
    uint64_t x = ((const struct by_id *)a)->bytes, y = ((const struct by_id *)b)->bytes;
    return x > y ? -1 : x < y;
}

// Sums by id, the largest first, each with a figure of its own; those beyond MOST_IDS together.
static void put_by_id(struct buf *ret, uint32_t key, struct buf *rows) {
    struct by_id *row = (struct by_id *)(void *)rows->data;
    size_t count = rows->len / sizeof *row, kept = 0;
    uint64_t rest = 0;
    if (!count) return;
    qsort(row, count, sizeof *row, by_id);
    for (size_t i = 0; i < count; i++) {
        if (kept && row[kept - 1].id == row[i].id)
            row[kept - 1].bytes += row[i].bytes;
        else
            row[kept++] = row[i];
    }
    qsort(row, kept, sizeof *row, by_bytes);
    for (size_t i = 0; i < kept; i++) {
        if (i < MOST_IDS)
            put_figure(ret, key, row[i].id, row[i].bytes);
        else
            rest += row[i].bytes;
    }
    if (rest) put_figure(ret, key, 0, rest);
}

static const uint32_t KEYS[EXTENT_KINDS] = {
    [EXTENT_HEAP] = HT_FIG_PART_HEAP,   [EXTENT_MAPPED] = HT_FIG_PART_MAPPED, [EXTENT_STACK] = HT_FIG_PART_STACKS,
    [EXTENT_CODE] = HT_FIG_PART_CODE,   [EXTENT_FILE] = HT_FIG_PART_FILES,    [EXTENT_SHARED] = HT_FIG_PART_SHARED,
    [EXTENT_AGENT] = HT_FIG_PART_AGENT, [EXTENT_OTHER] = HT_FIG_PART_OTHER,
};

static void put_extents(const struct extents *extents, struct buf *ret) {
    uint64_t resident[EXTENT_KINDS] = {0}, swapped = 0;
    struct buf rows = {0};
    for (size_t i = 0; i < extents->count; i++) {
        const struct extent *e = &extents->items[i];
        struct by_id row = {e->id, e->resident};
        resident[e->kind] += e->resident;
        swapped += e->swapped;
        if (e->kind == EXTENT_MAPPED && e->resident) buf_put(&rows, &row, sizeof row);
    }
    for (uint32_t kind = 0; kind < EXTENT_KINDS; kind++)
        if (kind != EXTENT_MAPPED) put_figure(ret, KEYS[kind], 0, resident[kind]);
    put_by_id(ret, HT_FIG_PART_MAPPED, &rows);
    put_figure(ret, HT_FIG_PART_SWAPPED, 0, swapped);
    buf_deinit(&rows);
}

static void put_samples(const struct buf *blocks, bool exact, struct buf *ret) {
    const struct block *block = (const struct block *)(const void *)blocks->data;
    size_t count = blocks->len / sizeof *block;
    struct sample_sums sums = samples_sum(blocks, exact);
    struct buf rows = {0};
    put_figure(ret, HT_FIG_SAMPLED_BYTES, 0, (uint64_t)sums.requested.bytes);
    put_figure(ret, HT_FIG_ROUNDING, 0, (uint64_t)sums.rounding.bytes);
    put_figure(ret, HT_FIG_ROUNDING_ERROR, 0, (uint64_t)sums.rounding.error);
    put_figure(ret, HT_FIG_ABSENT_ERROR, 0, (uint64_t)sums.absent.error);
    put_figure(ret, HT_FIG_HELD_ERROR, 0, (uint64_t)sums.held.error);
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = block[i].end - block[i].start;
        struct by_id row = {block[i].id,
                            (uint64_t)((double)(bytes - min_u64(block[i].resident, bytes)) * block[i].weight)};
        if (row.bytes) buf_put(&rows, &row, sizeof row);
    }
    put_by_id(ret, HT_FIG_ABSENT, &rows);
    buf_deinit(&rows);
}

// ---- A reading ------------------------------------------------------------------------------------------------------------

static uint64_t resident_bytes(const struct process *process) {
    char text[256];
    unsigned long resident = 0;
    if (read_small(process->dir, "statm", text, sizeof text) > 0) sscanf(text, "%*u %lu", &resident);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t own_cpu_ns(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool is_due(const struct parts_source *source, uint64_t resident, uint64_t now) {
    uint64_t expected = max_u64(resident / source->pages.page_bytes * NS_PER_PAGE, source->took_ns);
    return expected <= (now - source->read_at) / SHARE || (!source->took_ns && expected <= FIRST_NS);
}

void parts_read(struct parts_source *source, const struct books *books, const struct process *process, bool asked,
                struct buf *ret) {
    if (source->maps_fd < 0 || source->pagemap_fd < 0) return;
    uint64_t now = system_now_ns(), cpu = own_cpu_ns();
    if (!asked && !is_due(source, resident_bytes(process), now)) return;
    if (!maps_fetch(source->maps_fd, &source->text)) return;
    maps_parse((char *)source->text.data, &source->extents);
    owners_read(books, &source->owners);
    extents_give(&source->extents, (const struct owned *)(const void *)source->owners.data,
                 source->owners.len / sizeof(struct owned));
    bool sampled = samples_read(books, &source->samples);
    tell_by_blocks(source);
    uint64_t before = resident_bytes(process);
    if (!measure(source) || source->extents.failed) return;
    put_figure(ret, HT_FIG_PART_RSS, 0, (before + resident_bytes(process)) / 2);
    put_extents(&source->extents, ret);
    if (sampled && source->samples.len) put_samples(&source->samples, books->mode == HT_MODE_EXACT, ret);
    source->read_at = now;
    source->took_ns = own_cpu_ns() - cpu;
    put_figure(ret, HT_FIG_PART_READ_NS, 0, source->took_ns);
}
