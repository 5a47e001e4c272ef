// SPDX-License-Identifier: Apache-2.0
// thin.h: which snapshots of the past are given up first. Numbers in, numbers out; docs/design/0004-the-budget.md says why so.
#ifndef HEAPTIDE_THIN_H
#define HEAPTIDE_THIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct past { // one snapshot; they come in their order
    uint64_t boottime_ns;
    uint32_t number;
    bool stays;
};

#define THIN_NEVER UINT32_MAX

// ret[i]: 1 for the snapshot that goes first, 2 for the next one, ...; THIN_NEVER for those that stay, and the first and
// the last. Returns how many can go; -1: no memory.
int64_t thin_order(const struct past *past, uint32_t count, uint32_t *ret);

// What giving up snapshots saves, in bytes, by the rank of the one that is given up: index 0 to `ranks`.
struct savings {
    uint32_t ranks;
    uint64_t total;  // bytes of the whole file, as it is
    uint64_t *all;   // what goes with each snapshot
    uint64_t *light; // of that, rows of light stacks
};

// Up to which rank snapshots go altogether, and up to which they go for the light stacks (never the lower of the two).
struct choice {
    uint32_t gone, gone_for_light;
};
// So that `target` bytes are left. Stacks are told apart only where that keeps many more snapshots. False: it is not
// possible; then all go that can.
bool thin_choose(const struct savings *savings, uint64_t target, struct choice *ret);

#endif
