// SPDX-License-Identifier: Apache-2.0
// sample.h: record this one? A Poisson process over the bytes requested: each byte (and one more per block, so that empty
// blocks count) is a sampling point with probability 1/interval; a block with a point in it is sampled.
#ifndef HEAPTIDE_SAMPLE_H
#define HEAPTIDE_SAMPLE_H

#include "../sys.h"

enum {
    HT_INTERVAL_FIRST = 16 << 10,
    HT_INTERVAL_LAST = 512 << 10,
    HT_SAMPLES_PER_INTERVAL = 1024,
    HT_INTERVAL_MOST = 1 << 30 // when the table of samples has filled, again and again
};

// Bytes until the next point: exponential with mean `interval`, rounded down. Advances *random (never 0).
size_t ht_sample_gap(uint64_t *random, uint64_t interval);

// Uniform in [0, 1). Advances *random (never 0).
double ht_sample_draw(uint64_t *random);

// What one sampled block of `size` bytes stands for (Horvitz-Thompson).
struct ht_weight {
    double bytes, objects; // size / p, 1 / p, where p = 1 - exp(-(size + 1) / interval)
    double variance;       // of bytes: size^2 (1 - p) / p^2
};
struct ht_weight ht_sample_weight(uint64_t size, uint64_t interval);

// With which probability a block is sampled at twice the mean interval, when it is with `p` > 0 as it stands: 1 - sqrt(1 - p).
double ht_sample_wider(double p);

#endif
