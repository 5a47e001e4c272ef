// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "pages.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

typedef void step_function(void *data, const struct page_run *run);

// ---- PAGEMAP_SCAN, as linux/fs.h of 6.7 has it ----------------------------------------------------------------------------

struct scan_region {
    uint64_t start, end, categories;
};

struct scan_question {
    uint64_t size, flags, start, end, walk_end, regions, region_count, max_pages;
    uint64_t inverted, all_of, any_of, returned;
};

enum { IS_PRESENT = 1 << 3, IS_SWAPPED = 1 << 4, IS_ZERO_PAGE = 1 << 5 };

static bool walk_by_scan(struct pages *pages, uint64_t start, uint64_t end, step_function *step, void *data) {
    struct scan_region regions[PAGES_PIECE];
    while (start < end) {
        struct scan_question q = {.size = sizeof q,
                                  .start = start,
                                  .end = end,
                                  .regions = (uint64_t)(uintptr_t)regions,
                                  .region_count = PAGES_PIECE,
                                  .max_pages = PAGES_PIECE,
                                  .any_of = IS_PRESENT | IS_SWAPPED,
                                  .returned = IS_PRESENT | IS_SWAPPED | IS_ZERO_PAGE};
        int n = ioctl(pages->fd, _IOWR('f', 16, struct scan_question), &q);
        if (n < 0) return false;
        for (int i = 0; i < n; i++) {
            struct page_run run = {regions[i].start, regions[i].end, !(regions[i].categories & IS_PRESENT)};
            if (!(regions[i].categories & IS_ZERO_PAGE)) step(data, &run); // the kernel does not count that as resident
        }
        if (q.walk_end <= start) return false;
        start = q.walk_end;
    }
    return true;
}

// ---- pagemap, as Documentation/admin-guide/mm/pagemap.rst has it ------------------------------------------------------------

static const uint64_t ENTRY_PRESENT = 1ull << 63, ENTRY_SWAPPED = 1ull << 62;

static bool walk_by_read(struct pages *pages, uint64_t start, uint64_t end, step_function *step, void *data) {
    uint64_t entries[PAGES_PIECE], page = pages->page_bytes;
    while (start < end) {
        uint64_t wanted = min_u64((end - start) / page, PAGES_PIECE);
        ssize_t n = pread(pages->fd, entries, wanted * sizeof *entries, (off_t)(start / page * sizeof *entries));
        if (n < (ssize_t)sizeof *entries) return false;
        uint64_t got = (uint64_t)n / sizeof *entries;
        for (uint64_t i = 0; i < got; i++) {
            struct page_run run = {start + i * page, start + (i + 1) * page, !(entries[i] & ENTRY_PRESENT)};
            if (entries[i] & (ENTRY_PRESENT | ENTRY_SWAPPED)) step(data, &run);
        }
        start += got * page;
    }
    return true;
}

bool pages_walk(struct pages *pages, uint64_t start, uint64_t end, step_function *step, void *data) {
    if (!pages->by_read) {
        if (walk_by_scan(pages, start, end, step, data)) return true;
        if (errno != ENOTTY && errno != EINVAL) return false;
        pages->by_read = true;
    }
    return walk_by_read(pages, start, end, step, data);
}
