// SPDX-License-Identifier: Apache-2.0
// turn.h: a turn that one thread at a time takes. Nobody waits for it: who does not get it does without or comes again, for its
// holder may be the very thread that a signal handler has interrupted.
//
// The turn knows whose it is. A handler that leaves by longjmp leaves it taken for ever; the thread that left finds out at
// its next capture (ht_stacks_was_left) and gives back what is its own.
#ifndef HEAPTIDE_TURN_H
#define HEAPTIDE_TURN_H

#include "thread.h"

typedef uint64_t ht_turn; // 0: nobody's; else the address of the holder's ht_tls

static inline uint64_t ht_turn_mine(void) { return (uint64_t)(uintptr_t)&ht_tls; }

static inline bool ht_turn_take(ht_turn *turn) {
    uint64_t nobody = 0;
    return __atomic_compare_exchange_n(turn, &nobody, ht_turn_mine(), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline void ht_turn_end(ht_turn *turn) { __atomic_store_n(turn, 0, __ATOMIC_SEQ_CST); }

static inline bool ht_turn_is_mine(const ht_turn *turn) {
    return __atomic_load_n(turn, __ATOMIC_RELAXED) == ht_turn_mine();
}

// This thread has left what it did in its turn.
static inline void ht_turn_left(ht_turn *turn) {
    if (ht_turn_is_mine(turn)) ht_turn_end(turn);
}

#endif
