// SPDX-License-Identifier: Apache-2.0
// test_sample.c: what samples stand for (agent/sample.c), over size distributions and many seeds: totals are unbiased, and the
// 95 % error bars cover the truth as often as they say. `test_sample 4000` for a study; a few hundred seeds by itself.
// links: agent/sample.c sys.c
#include "../agent/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what) ((what) ? (void)0 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #what), exit(1)))

enum { INTERVAL = 64 << 10, SAMPLES = 200 };

// ---- Size distributions -------------------------------------------------------------------------------------------------

static double uniform(uint64_t *random) { return (ht_sample_draw(random) * 0.999999) + 1e-7; }

static double normal(uint64_t *random) {
    return sqrt(-2 * log(uniform(random))) * cos(6.283185307179586 * uniform(random));
}

static size_t small(uint64_t i, uint64_t *r) { return (void)i, (void)r, 16; }
static size_t at_interval(uint64_t i, uint64_t *r) { return (void)i, (void)r, INTERVAL; }
static size_t huge(uint64_t i, uint64_t *r) { return (void)i, (void)r, 5 * INTERVAL; }
static size_t bimodal(uint64_t i, uint64_t *r) { return (void)r, i % 50 ? 100 : 2 * INTERVAL; }
static size_t log_normal(uint64_t i, uint64_t *r) { return (void)i, (size_t)exp(7 + 1.5 * normal(r)); }
static size_t pareto(uint64_t i, uint64_t *r) { return (void)i, (size_t)(64 / pow(uniform(r), 1 / 1.3)); }
static size_t grown(uint64_t i, uint64_t *r) { return (void)r, (size_t)24 << i % 14; } // as a vector that doubles
static size_t empty(uint64_t i, uint64_t *r) { return (void)i, (void)r, 0; }

static const struct distribution {
    const char *name;
    size_t (*size)(uint64_t i, uint64_t *random);
    uint64_t blocks;
    bool adaptive;
} distributions[] = {
    {"16 bytes", small, (uint64_t)SAMPLES *INTERVAL / 17, false},
    {"the interval", at_interval, SAMPLES, false},
    {"five intervals", huge, SAMPLES * 40, false},
    {"two sizes", bimodal, SAMPLES * 25, false},
    {"log-normal", log_normal, SAMPLES * 20, false},
    {"Pareto 1.3", pareto, SAMPLES * 200, false},
    {"doubling", grown, SAMPLES * 14, false},
    {"empty", empty, (uint64_t)SAMPLES *INTERVAL, false},
    {"log-normal, adaptive", log_normal, SAMPLES * 40, true},
    {"two sizes, adaptive", bimodal, SAMPLES * 50, true},
};

// ---- One program ----------------------------------------------------------------------------------------------------------

struct sums {
    double bytes, objects, variance;
};

// As shim.h and record.c do it: `left` counts down, and a block that does not fit is sampled at the interval of its gap.
static void run(const struct distribution *d, uint64_t seed, struct sums *truth, struct sums *told) {
    uint64_t sizes = seed * 0x9e3779b97f4a7c15ull | 1, random = seed * 0xd6e8feb86659fd93ull | 1;
    uint64_t interval = d->adaptive ? INTERVAL / 8 : INTERVAL, drawn_with = interval, samples = 0;
    size_t left = ht_sample_gap(&random, interval);
    for (int i = 0; i < 20; i++) ht_sample_draw(&sizes);
    for (uint64_t i = 0; i < d->blocks; i++) {
        size_t size = d->size(i, &sizes);
        truth->bytes += (double)size, truth->objects += 1;
        if (size < left) {
            left -= size + 1;
            continue;
        }
        struct ht_weight w = ht_sample_weight(size, drawn_with);
        told->bytes += w.bytes, told->objects += w.objects, told->variance += w.variance;
        if (d->adaptive && ++samples % 64 == 0 && interval < INTERVAL) interval *= 2;
        drawn_with = interval;
        left = ht_sample_gap(&random, interval);
    }
}

// z: the error over its own bar. Of its mean the standard error is 1 / sqrt(seeds) or so; 5 of them are allowed.
static void study(const struct distribution *d, unsigned seeds) {
    double bytes = 0, bytes2 = 0, objects = 0, objects2 = 0, z2 = 0, covered = 0, n = seeds;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct sums truth = {0}, told = {0};
        run(d, seed, &truth, &told);
        double b = truth.bytes > 0 ? told.bytes / truth.bytes - 1 : told.bytes, o = told.objects / truth.objects - 1;
        double z = told.variance > 0 ? (told.bytes - truth.bytes) / sqrt(told.variance) : 0;
        bytes += b, bytes2 += b * b, objects += o, objects2 += o * o, z2 += z * z, covered += fabs(z) <= 1.96;
    }
    double bytes_z = bytes2 > 0 ? bytes / sqrt(bytes2) : 0, objects_z = objects / sqrt(objects2);
    printf("%-22s bytes %+.2f standard errors, objects %+.2f, spread %.1f %%, z rms %.3f, covered %.1f %%\n", d->name,
           bytes_z, objects_z, 100 * sqrt(bytes2 / n), sqrt(z2 / n), 100 * covered / n);
    CHECK(fabs(bytes_z) < 5 && fabs(objects_z) < 5);
    CHECK(bytes2 == 0 || covered / n > 0.93 - 4 * sqrt(0.05 * 0.95 / n));
    CHECK(bytes2 == 0 || covered / n < 0.99 + 1 / n);
}

int main(int argc, char **argv) {
    unsigned seeds = argc > 1 ? (unsigned)atoi(argv[1]) : 30;
    for (size_t i = 0; i < sizeof distributions / sizeof *distributions; i++) study(&distributions[i], seeds);
    return 0;
}
