// SPDX-License-Identifier: Apache-2.0
// memory_parts.h: whose the resident pages are: figures for the ledger, beside those of memory.h.
//
// One reading goes over the page tables in short pieces (pages.h) and so costs the recorder time and the program next to
// nothing. It is made when it is expected to take at most a two-hundredth of the time since the last one.
#ifndef HEAPTIDE_MEMORY_PARTS_H
#define HEAPTIDE_MEMORY_PARTS_H

#include "books_reader.h"
#include "maps.h"
#include "pages.h"
#include "process.h"

struct parts_source {
    int maps_fd, pagemap_fd; // of the program, from when it registered: they outlive a change of its rights; -1: none
    struct pages pages;
    uint64_t read_at; // the system's boottime at the last reading, or at the beginning
    uint64_t took_ns; // CPU time of the last; 0: none yet
    struct buf text, owners, samples;
    struct extents extents;
};

void parts_init(struct parts_source *source, const struct process *process);
void parts_deinit(struct parts_source *source);
// Adds figures to a MEMORY payload in the making, if a reading is due, or `asked` for.
void parts_read(struct parts_source *source, const struct books *books, const struct process *process, bool asked,
                struct buf *ret);

#endif
