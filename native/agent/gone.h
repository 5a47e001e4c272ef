// SPDX-License-Identifier: Apache-2.0
// gone.h: the recorder is dead, and what is recorded is for nobody.
#ifndef HEAPTIDE_GONE_H
#define HEAPTIDE_GONE_H

#include "books.h"

// For good: what is allocated and freed from now on is forwarded only, and the memory of the books goes back. Not where .heap
// files are written too. Other threads may be inside operations: they write into what is mapped still, and nobody reads it.
HT_COLD void ht_recorder_gone(struct ht_books *b);

// Asked by every stack capture. The kernel sets the bit (recorder/alive.c): no clock is read, and a recorder that is
// stopped, or starved, or frozen with us, is not dead.
static inline void ht_ask_for_recorder(struct ht_books *b) {
    if (ht_unlikely(__atomic_load_n(&b->control->recorder.thread, __ATOMIC_RELAXED) & HT_RECORDER_DIED))
        ht_recorder_gone(b);
}

#endif
