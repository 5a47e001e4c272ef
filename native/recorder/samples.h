// SPDX-License-Identifier: Apache-2.0
// samples.h: what the sampled blocks that are in use say about all that are. One that was drawn with probability p stands for
// 1 / p blocks like it, so a sum over all blocks is estimated by the sum of x / p over the samples, with variance sum of
// x^2 (1 - p) / p^2 (Horvitz and Thompson 1952). Weights of samples that were thinned are the agent's (agent/thin.h).
#ifndef HEAPTIDE_SAMPLES_H
#define HEAPTIDE_SAMPLES_H

#include "books_reader.h"
#include "util.h"

struct block {
    uint64_t start, end; // addresses: as many bytes as were requested
    uint64_t resident;   // bytes of it, once measured
    double weight;       // how many blocks like it it stands for
    double variance;     // of that
    uint32_t rounding;   // bytes that the allocator takes beyond
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
    struct estimate requested;
    struct estimate rounding; // what the allocator takes, less what was requested
    struct estimate absent;   // requested and not resident
    struct estimate held; // what the allocator takes, less absent; `exact`: without what was requested, which is known
};
struct sample_sums samples_sum(const struct buf *blocks, bool exact);

#endif
