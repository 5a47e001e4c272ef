// SPDX-License-Identifier: Apache-2.0
// unwind.h: return addresses only, never names. Exact by call frame information (cfi.h); a rule found once is kept in a
// cache, so a frame usually costs one look-up and two loads. Takes no lock, allocates nothing, may run in a signal handler.
#ifndef HEAPTIDE_UNWIND_H
#define HEAPTIDE_UNWIND_H

#include "../books.h"
#include "cfi.h"

struct ht_unwind_scratch { // lent by the thread: stacks may be as small as MINSIGSTKSZ
    struct ht_cfi_scratch cfi;
    struct ht_cfi_frame frame;
    struct ht_registers registers;
    unsigned depth;
    uint16_t flags;             // enum ht_stack_flag
    unsigned guesses;           // frame-pointer steps
    uint64_t pcs[HT_MAX_DEPTH]; // last: of a thread of shallow stacks no page but the first is touched
};

bool ht_unwind_init(void); // maps the cache; false: no memory

// Fills scratch->pcs, leaf first, beginning with from->pc, by the convention of books.h: a return address, or pc + 1 of a
// frame that a signal interrupted.
void ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *scratch);

// Forgets every rule: code may have been unmapped.
void ht_unwind_flush(void);

#endif
