// SPDX-License-Identifier: Apache-2.0
// samples.h: what the sampled blocks that are in use say about all that are. Each was kept with probability
// p = 1 - exp(-(size + 1) / interval), so a sum over all blocks is estimated by the sum of x / p over the samples, with variance
// sum of x^2 (1 - p) / p^2 (Horvitz and Thompson 1952).
#ifndef HEAPTIDE_SAMPLES_H
#define HEAPTIDE_SAMPLES_H

#include "books_reader.h"
#include "util.h"

struct block {
    uint64_t start, end; // addresses: as many bytes as were requested
    uint64_t usable;     // bytes; what was requested, where the allocator does not tell
    uint64_t resident;   // bytes of it, once measured
    double weight;       // 1 / p
    uint32_t id;
    uint32_t born;
};

// The samples as struct block, ascending by address, without overlaps. False: they cannot be read.
bool samples_read(const struct books *books, struct buf *ret);

// Adds, for each sample in `blocks`, what of it lies in [start, end): memory that is resident. *next (from 0) goes along
// with ranges that ascend.
void samples_resident(struct buf *blocks, size_t *next, uint64_t start, uint64_t end);

struct estimate {
    double bytes, error; // error: one standard error
};

struct sample_sums {
    double requested;         // bytes
    struct estimate rounding; // usable less requested
    struct estimate absent;   // requested and not resident
    struct estimate held;     // usable and resident
};
// `exact`: what was requested is known besides, so the error is that of a ratio to it (the residuals of the ratio).
struct sample_sums samples_sum(const struct buf *blocks, bool exact);

#endif
