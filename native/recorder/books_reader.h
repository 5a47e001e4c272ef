// SPDX-License-Identifier: Apache-2.0
// books_reader.h: reads the shared memory of books.h as what it is: something that a hostile or broken process may write at
// any moment. Each field of the header is copied once and checked; every offset that follows is computed from the copies.
//
// Header and lane heads are mapped, because their words are read while the program changes them. Counters and log are
// fetched by pread() into memory of our own: one copy, nothing that changes between check and use, no SIGBUS, and no page of
// a sparse file is brought into being by looking at it.
#ifndef HEAPTIDE_BOOKS_READER_H
#define HEAPTIDE_BOOKS_READER_H

#include "books.h"

#include <stdbool.h>
#include <stddef.h>

struct books {
    int fd;
    const uint8_t *map; // header and lanes, read-only
    size_t map_bytes;
    struct ht_control *control; // the one page that we write

    // Copied from the header once, and checked.
    uint32_t mode;
    uint32_t lane_count;
    uint32_t lane_stride;
    uint32_t max_ids;
    uint32_t group_count;
    uint64_t lanes_offset;
    uint64_t log_offset;
    uint64_t log_size;
    uint64_t pool_offset;
    uint64_t pool_pages;
    uint64_t own_offset, regions_offset, samples_offset;
    uint32_t own_slots, region_slots, sample_slots;
    uint32_t run_bytes; // of one group's counters in one buffer
    uint32_t flags;
    int32_t pid;
    int32_t parent_pid;
    uint64_t started_realtime_ns;
    uint64_t started_boottime_ns;
    char agent_version[16];
};

// Takes over `fd` (closed by books_deinit, and here on failure). On failure `ret_why` says what was wrong with it.
bool books_init(struct books *books, int fd, uint64_t announced_bytes, const char **ret_why);
void books_deinit(struct books *books);

// The header as the agent keeps it: for the words that change, through load_acquire() and load_relaxed().
static inline const struct ht_books_header *books_live(const struct books *b) {
    return (const struct ht_books_header *)(const void *)b->map;
}

static inline const struct ht_lane *books_lane(const struct books *b, uint32_t lane) {
    return (const struct ht_lane *)(const void *)(b->map + b->lanes_offset + (uint64_t)lane * b->lane_stride);
}

uint32_t books_lanes_used(const struct books *books);
uint32_t books_groups_used(const struct books *books); // groups that ids were given out for

// The 1-based pool page of a lane's group, 0 when the lane never touched it.
uint32_t books_group_page(const struct books *books, uint32_t lane, uint32_t group);
// Copies one run (run_bytes) of counters. False: the page number does not fit the pool.
bool books_read_run(const struct books *books, uint32_t page, uint32_t buffer, void *ret);
// Copies `bytes` of the log from position `pos` (ever-rising), around the end of the ring. bytes <= log_size.
bool books_read_log(const struct books *books, uint64_t pos, void *ret, size_t bytes);

// The tables: copies `bytes` of the one at `table` (own_offset and its like), which the caller knows to lie within it.
bool books_read_table(const struct books *books, uint64_t table, void *ret, size_t bytes);

// Calls step(data) so that a page that cannot be had (SIGBUS) ends the call and not the recorder. False: that happened.
bool books_guarded(void (*step)(void *data), void *data);

#endif
