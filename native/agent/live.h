// SPDX-License-Identifier: Apache-2.0
// live.h: block -> size, stack. Two books of the same kind, for every block (exact) and for the sampled ones, behind a byte filter
// that free() asks first. The blocks themselves stay in the host's allocator, untouched.
#ifndef HEAPTIDE_LIVE_H
#define HEAPTIDE_LIVE_H

#include "../books.h"
#include "../sys.h"
#include "table.h"

// filter[hash of an address]: 0: no such block is recorded. Counts sampled blocks (saturating). In exact mode each address hashes
// to the first byte, which is set: frees then touch one line of it instead of all.
enum { HT_FILTER_BITS = 16 };
extern uint8_t ht_filter[1 << HT_FILTER_BITS] __attribute__((visibility("hidden")));
#define HT_FILTER_FACTOR 0x9e3779b97f4a7c15ull
extern uint64_t ht_filter_factor __attribute__((visibility("hidden")));

static inline uint8_t *ht_filter_of(const void *block) {
    return &ht_filter[(uint64_t)(uintptr_t)block * ht_filter_factor >> (64 - HT_FILTER_BITS)];
}

// Sets up for `mode`; again in a fork child, with nothing in it. `armed`: exact mode's filter sends each free by us from now on,
// else from ht_live_arm on. Its map reserves at most
// `map_limit` bytes (0: as many as the machine has). False: no memory.
bool ht_live_init(enum ht_mode mode, bool armed, uint64_t map_limit);
void ht_live_arm(void);
void ht_live_forget(void); // for good: from now on free() asks nothing

// In exact mode blocks must lie this far apart: requests below are raised to it. 0: the allocator sees to it.
extern size_t ht_live_least_request;

bool ht_live_put(const void *block, const struct ht_block *what); // not there yet; false: it cannot be kept
// Forgets a block that the caller owns. HT_TAKEN_BY_HOLDER: thin.c has it and will count its free.
enum ht_taken ht_live_take(const void *block, struct ht_block *ret);

// Exact mode over blocks whose sizes stand in their heads, kept in the narrow map: what exact.h is written for.
bool ht_live_is_plain(void);

// ---- For thin.c ---------------------------------------------------------------------------------------------------------

enum { HT_SAMPLES_BITS = 15 };
extern struct ht_table ht_live_samples __attribute__((visibility("hidden")));
extern uint64_t ht_live_sample_count __attribute__((visibility("hidden"))); // entries of it, by and large
void ht_live_sample_gone(uint64_t address);                                 // its entry was removed

#endif
