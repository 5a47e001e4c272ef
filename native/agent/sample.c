// SPDX-License-Identifier: Apache-2.0
#include "sample.h"

#include <string.h>

static uint64_t next_random(uint64_t *state) { // xorshift64*
    uint64_t x = *state;
    x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

// Natural logarithm of x in (0, 1], to 1e-13: x = m 2^e with m in [sqrt 1/2, sqrt 2), and ln m = 2 artanh((m-1)/(m+1)).
static double logarithm(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffull) | 1023ull << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) m /= 2, exponent++;
    double z = (m - 1) / (m + 1), z2 = z * z, sum = 0;
    for (int k = 15; k >= 1; k -= 2) sum = sum * z2 + 1.0 / k;
    return 2 * z * sum + exponent * 0.69314718055994530942;
}

// 1 - exp(-x) for x >= 0, to 1e-15 relative: a Taylor series near 0, and 1 - exp(-2y) = a (2 - a) with a = 1 - exp(-y).
static double one_minus_exp(double x) {
    if (x > 40) return 1;
    int doublings = 0;
    while (x > 0.25) x /= 2, doublings++;
    double sum = 0;
    for (int k = 13; k >= 1; k--) sum = x / k * (1 - sum);
    while (doublings-- > 0) sum *= 2 - sum;
    return sum;
}

double ht_sample_draw(uint64_t *random) { return (double)(next_random(random) >> 11) * 0x1p-53; }

size_t ht_sample_gap(uint64_t *random, uint64_t interval) {
    double u = (double)((next_random(random) >> 11) + 1) * 0x1p-53; // (0, 1]
    return (size_t)(-logarithm(u) * (double)interval);
}

struct ht_weight ht_sample_weight(uint64_t size, uint64_t interval) {
    double s = (double)size, p = one_minus_exp((s + 1) / (double)interval);
    return (struct ht_weight){.bytes = s / p, .objects = 1 / p, .variance = s * s * (1 - p) / (p * p)};
}

double ht_sample_wider(double p) { return p < 1 ? one_minus_exp(-logarithm(1 - p) / 2) : 1; }
