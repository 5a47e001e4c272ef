// SPDX-License-Identifier: Apache-2.0
// stacks.h: stack -> id. A stack is known by two independent hashes of its return addresses (96 bits); its addresses are
// written to the log once.
#ifndef HEAPTIDE_STACKS_H
#define HEAPTIDE_STACKS_H

#include "thread.h"

bool ht_stacks_init(void); // a fresh table
void ht_stacks_forget(void);
// Captures the stack of `caller` and gives its id, or one of the special ids (then the loss is counted).
uint32_t ht_stacks_capture(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller);
// The same in exact mode, for a thread that is in no capture and whose last stack this is not (ht_memo_known). The caller's
// three in registers: nothing has to be read back from where it was just written.
uint32_t ht_stacks_capture_changed(struct ht_books *b, struct ht_thread *t, uint64_t pc, uint64_t sp, uint64_t bp);
// The same for a mapping: never the id of a stack of blocks.
uint32_t ht_stacks_capture_mapping(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller);

// A handler of this thread's has left what `t` was doing by longjmp, and we are not in that handler.
bool ht_stacks_was_left(struct ht_thread *t, const struct ht_caller *caller);

// ---- For .heap files, which are written from inside: the addresses stay in memory ---------------------------------------
struct ht_kept_stack {
    uint32_t depth;
    uint32_t flags; // enum ht_stack_flag
    uint64_t pcs[];
};
void ht_stacks_keep(void);                               // from now on
const struct ht_kept_stack *ht_stacks_kept(uint32_t id); // NULL: a special id, or not kept

#endif
