// SPDX-License-Identifier: Apache-2.0
// memo.h: the thread's last stack, kept so that the next capture walks only the frames that changed.
//
// The state of a frame is (pc, sp), and bp where the frame or one outside it finds its CFA by bp. The rest of the chain is a
// function of that state and of the words of the stack that the walk would read: return addresses, and saved frame
// pointers that matter further out. So if a frame of the new walk equals a remembered one, and each of those words still
// holds what it held, the rest of the chain is the remembered one. The words are compared from the inside outward, so
// nothing is read that the walk itself would not read.
#ifndef HEAPTIDE_MEMO_H
#define HEAPTIDE_MEMO_H

#include "rules.h"
#include "unwind.h"

struct ht_memo_frame { // compared in the hot loop: kept apart from the rest
    uint64_t sp;       // in this frame, after the call returns; its return address lies at sp - 8
    uint64_t pc;
};

struct ht_memo_rest {
    uint64_t hash[2]; // of this frame and all outside it
    uint64_t bp;      // in this frame
    uint32_t checks;  // checks of this frame and all outside it
    uint32_t id;      // of the stack that has this frame as its leaf; 0: not known
    bool bp_matters;
};

struct ht_memo_check { // a word besides the return addresses that the walk depends on
    uint64_t address, value;
};

struct ht_memo_new { // a frame just walked, before its place is known
    uint64_t sp, bp;
    uint64_t pc; // with HT_MEMO_BP_MATTERS
};
#define HT_MEMO_BP_MATTERS (1ull << 63) // no address of a program has this bit

enum { HT_MEMO_NEW_CHECKS = 64, HT_MEMO_CHECKS = 2 * HT_MAX_DEPTH };

// The root is frame 0. Everything is valid when zeroed.
struct ht_memo {
    uint64_t made_for; // ht_rules_generation: what addresses meant when it was made
    uint32_t fresh_checks;
    uint64_t changes; // captures so far: tells one that was interrupted by another
    uint32_t count;
    struct ht_memo_frame frame[HT_MAX_DEPTH];
    struct ht_memo_rest rest[HT_MAX_DEPTH];
    struct ht_memo_check check[HT_MEMO_CHECKS];
    struct ht_memo_new fresh[HT_MAX_DEPTH];
    struct ht_memo_check fresh_check[HT_MEMO_NEW_CHECKS];
    uint32_t fresh_check_of[HT_MEMO_NEW_CHECKS]; // the fresh frame that depends on it
};

// Brings the memo to the stack of `from`: on success frame[0 .. count) is that stack, root first, with its hashes. False: the stack
// has something in it that is not remembered (a signal frame, a guess, more frames than fit); the memo is then empty.
bool ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *scratch);

static inline bool ht_memo_same_state(const struct ht_memo *m, uint32_t i, uint64_t pc, uint64_t sp, uint64_t bp) {
    return m->frame[i].sp == sp && m->frame[i].pc == pc && (!m->rest[i].bp_matters || m->rest[i].bp == bp);
}

// The same where a frame depends on more than return addresses: word by word in the order of the walk itself, for a word
// further in may have decided where the next one lies.
static inline bool ht_memo_still_true_by_all(const struct ht_memo *m, uint32_t count) {
    for (uint32_t i = count; i-- > 0;) {
        if (ht_load(m->frame[i].sp - 8) != m->frame[i].pc) return false;
        for (uint32_t c = m->rest[i].checks; c-- > (i ? m->rest[i - 1].checks : 0);)
            if (ht_load(m->check[c].address) != m->check[c].value) return false;
    }
    return true;
}

// Do the words that frames [0, count) depend on still hold what they held?
static inline bool ht_memo_still_true(const struct ht_memo *m, uint32_t count) {
    if (ht_unlikely(m->rest[count - 1].checks)) return ht_memo_still_true_by_all(m, count);
    const struct ht_memo_frame *f = m->frame + count;
    if (count & 1 && (f--, ht_load(f->sp - 8) != f->pc)) return false;
    for (; f > m->frame; f -= 2) { // two a turn: each is three loads and a test
        if (ht_unlikely(ht_load(f[-1].sp - 8) != f[-1].pc)) return false;
        if (ht_unlikely(ht_load(f[-2].sp - 8) != f[-2].pc)) return false;
    }
    return true;
}

// The id of the stack of `from` if it is the very one remembered; else 0.
static inline uint32_t ht_memo_known(const struct ht_memo *m, const struct ht_caller *from) {
    uint32_t n = m->count;
    uint64_t changes = m->changes;
    if (!n || !ht_memo_same_state(m, n - 1, from->pc, from->sp, from->bp) ||
        m->made_for != __atomic_load_n(&ht_rules_generation, __ATOMIC_ACQUIRE))
        return 0;
    uint32_t id = m->rest[n - 1].id;
    if (!id || !ht_memo_still_true(m, n)) return 0;
    ht_compiler_barrier();
    return m->changes == changes ? id : 0; // a signal handler may have captured in between
}

// The hashes of a stack, frame by frame from the root; also what ht_memo_rest holds.
struct ht_stack_hash {
    uint64_t a, b;
};
static inline struct ht_stack_hash ht_stack_hash_begin(uint64_t salt) {
    return (struct ht_stack_hash){0x243f6a8885a308d3ull + salt, 0x13198a2e03707344ull};
}
static inline struct ht_stack_hash ht_stack_hash_add(struct ht_stack_hash h, uint64_t pc) {
    h.a = (h.a ^ pc) * 0x9e3779b97f4a7c15ull;
    h.b = (h.b ^ pc) * 0xd6e8feb86659fd93ull;
    return (struct ht_stack_hash){h.a ^ h.a >> 32, h.b ^ h.b >> 29};
}

#endif
