// SPDX-License-Identifier: Apache-2.0
// pages.h: which pages of a range are resident, asked of the kernel in pieces.
//
// A reader of page tables holds the program's mmap lock, so one question covers at most PAGES_PIECE pages: PAGEMAP_SCAN
// (Linux 6.7) steps over holes; before that /proc/PID/pagemap is read, for which the kernel takes the lock for 512 pages at a
// time. docs/design/0008-the-ledger.md has what a program feels of it.
#ifndef HEAPTIDE_PAGES_H
#define HEAPTIDE_PAGES_H

#include "util.h"

enum { PAGES_PIECE = 512 };

struct page_run {
    uint64_t start, end; // addresses
    bool swapped;        // else resident
};

struct pages {
    int fd;       // /proc/PID/pagemap, not ours to close
    bool by_read; // no PAGEMAP_SCAN here
    uint64_t page_bytes;
};

// Calls step(data, run) for each run of resident or swapped pages in [start, end), ascending. False: it could not be asked.
bool pages_walk(struct pages *pages, uint64_t start, uint64_t end, void (*step)(void *data, const struct page_run *run),
                void *data);

#endif
