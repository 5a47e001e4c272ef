// SPDX-License-Identifier: Apache-2.0
// thin.h: what happens when live samples become many. The mean interval doubles, and the live samples are thinned: two of one
// stack become one that stands for both.
//
// Which of the two stays is drawn in proportion to what they stand for: of samples that stand for a and b bytes the first
// stays with probability a / (a + b), and stands for a + b from then on. So what each stands for is the same as before on
// the average (a (a + b) / (a + b) = a: nothing is biased, whichever is freed first), while their sum does not change at all:
// no counter has to fall, what is in use is what it was, and when all is freed it is nothing, exactly. Dropping one in
// two by itself, each at random, has none of that.
//
// The variance of what a survivor stands for: that of its own sample over the probability q of staying, plus that of the draw,
// w^2 (1 - q) / q^2. This takes the two for independent. While both blocks live they are not (their sum is known), so the
// error told for what is in use, and for all that was allocated, may be up to 1.4 times too wide; it is never too narrow.
//
// Pairs are of one size wherever there are such: then objects behave as bytes do. Only when too few pair up so are sizes within
// an eighth of one another taken, and at last any: bytes stay unbiased, and objects by stack as long as their lives do not
// depend on their size.
//
// It is done a few hundred entries at a time by the threads that draw samples, so none waits longer than for some tens of
// microseconds; one thread does it at a time, and the others go on. docs/design/0003-ceilings.md has the measurements.
#ifndef HEAPTIDE_THIN_H
#define HEAPTIDE_THIN_H

#include "live.h"
#include "thread.h"

enum { HT_SAMPLES_MANY = 5 << (HT_SAMPLES_BITS - 3) }; // five eighths of the table: no bucket is full as yet

// Intervals below this filled the table: nothing is drawn with one.
uint64_t ht_thin_least_interval(void);
void ht_thin_forget(void); // a fork child, or another recording: the table is empty
// A thread whose captures were left by longjmp: what it was thinning is free for others.
void ht_thin_left(void);

HT_COLD void ht_thin_step(struct ht_books *b, struct ht_thread *t);
extern bool ht_thin_active __attribute__((visibility("hidden")));
// After each new sample.
static inline void ht_thin_if_full(struct ht_books *b, struct ht_thread *t) {
    bool many = __atomic_load_n(&ht_live_sample_count, __ATOMIC_RELAXED) > HT_SAMPLES_MANY;
    if (ht_unlikely(many || __atomic_load_n(&ht_thin_active, __ATOMIC_RELAXED))) ht_thin_step(b, t);
}

#endif
