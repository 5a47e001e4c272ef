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

#include "modules.h"
#include "rules.h"
#include "unwind.h"

struct ht_memo_frame { // compared in the hot loop: kept apart from the rest
    uint64_t sp;       // in this frame, after the call returns; its return address lies at sp - 8
    uint64_t pc;
};

struct ht_memo_rest {
    uint64_t hash[2]; // of this frame and all outside it
    uint64_t bp;      // in this frame; only where it matters
    uint32_t id;      // of the stack that has this frame as its leaf; 0: not known
    uint32_t extras;  // checks of this frame and all outside it, times two; plus one where its bp matters
};
static inline uint32_t ht_memo_checks(const struct ht_memo_rest *r) { return r->extras >> 1; }
static inline bool ht_memo_bp_matters(const struct ht_memo_rest *r) { return r->extras & 1; }

struct ht_memo_check { // a word besides the return addresses that the walk depends on
    uint64_t address, value;
    uint64_t frame; // the walk from this one depends on it
};

struct ht_memo_new { // a frame just walked, before its place is known
    uint64_t sp;
    uint64_t pc;    // with HT_MEMO_BP_MATTERS
    uint64_t bp_at; // where its bp is saved; 0: it is the caller's that the capture was asked for
};
#define HT_MEMO_BP_MATTERS (1ull << 63) // no address of a program has this bit

// The rules in use, a thread's own and close together: the process's cache (rules.h) has each in a line, and nearly in a page,
// to itself. One word holds what is usual; its place and its tag together are the pc:
//
//    63        48 47    39 38    36 35        0
//   +------------+--------+--------+-----------+
//   | CFA off./8 | bp at/8| kind   | pc >> 11  |     kind 0: CFA = sp + offset, the one that is told at a glance
//   +------------+--------+--------+-----------+
enum {
    HT_NEAR_BITS = 11,
    HT_NEAR_KIND_BIT = 36,
    HT_NEAR_BP_BIT = 39,
    HT_NEAR_CFA_BIT = 48,
    HT_PC_BITS = 47,
    HT_PC_LEAST = 4096
};
_Static_assert(HT_NEAR_BITS + HT_NEAR_KIND_BIT == HT_PC_BITS, "place and tag make up a pc");

enum { HT_PLACE_BITS = 11 };
// Where code keeps frame pointers, each frame depends on the one saved in it; some depend on two words.
enum { HT_MEMO_NEW_CHECKS = HT_MAX_DEPTH, HT_MEMO_CHECKS = 2 * HT_MAX_DEPTH };

// The leaf of the stack remembered, once its id is known.
struct ht_memo_leaf {
    uint64_t sp, pc, bp;
    uint64_t bp_mask; // 0: its bp does not matter; else all ones
    uint32_t id;      // 0: ask the rest of the memo
    uint32_t count;   // of frames, with it
};

// The root is frame 0. Everything is valid when zeroed.
struct ht_memo {
    struct ht_memo_leaf leaf;
    uint64_t made_for; // ht_rules_generation: what addresses meant when it was made
    uint64_t changes;  // captures so far: tells one that was interrupted by another
    uint32_t count;
    uint32_t fresh_checks;
    uint32_t unusual; // captures in a row that ht_memo_capture_usual could not make
    struct ht_memo_frame frame[HT_MAX_DEPTH];
    struct ht_memo_rest rest[HT_MAX_DEPTH];
    uint64_t near[1 << HT_NEAR_BITS];
    uint16_t place[1 << HT_PLACE_BITS]; // by sp: the number of the frame that was put there last
    struct ht_memo_new fresh[HT_MAX_DEPTH];
    struct ht_memo_check check[HT_MEMO_CHECKS];
    struct ht_memo_check fresh_check[HT_MEMO_NEW_CHECKS]; // frame: among the fresh ones
};

// In sampled mode there is nothing to forget, and no page to touch for it.
static inline void ht_memo_forget(struct ht_memo *m) {
    if (m->count) m->count = 0, m->leaf.id = 0;
}

// Brings the memo to the stack of `from`: on success frame[0 .. count) is that stack, root first, with its hashes. False: the stack
// has something in it that is not remembered (a signal frame, a guess, more frames than fit); the memo is then empty.
bool ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *scratch);

static inline bool ht_memo_same_place(const struct ht_memo *m, uint32_t i, uint64_t pc, uint64_t sp) {
    return m->frame[i].sp == sp && m->frame[i].pc == pc;
}

static inline bool ht_memo_holds(const struct ht_memo_frame *f) { return ht_likely(ht_load(f->sp - 8) == f->pc); }

// Do the return addresses of frames [from, to) still stand where they stood? Four frames a turn; the last turn may look again
// at frames that were looked at, so that no branch depends on how many are left.
static inline bool ht_memo_still_there(const struct ht_memo *m, uint64_t from, uint64_t to) {
    const struct ht_memo_frame *f = m->frame + to, *end = m->frame + from, *last = end + 4;
    if (ht_unlikely(f < last)) {
        for (; f > end; f--)
            if (!ht_memo_holds(f - 1)) return false;
        return true;
    }
    for (; f > last; f -= 4)
        if (!ht_memo_holds(f - 1) || !ht_memo_holds(f - 2) || !ht_memo_holds(f - 3) || !ht_memo_holds(f - 4))
            return false;
    return ht_memo_holds(last - 1) && ht_memo_holds(last - 2) && ht_memo_holds(last - 3) && ht_memo_holds(last - 4);
}

// Do all words that frames [0, count) depend on still hold what they held? In the order of the walk itself, for a word further
// in may have decided where the next one lies.
static inline bool ht_memo_still_true(const struct ht_memo *m, uint64_t count) {
    uint32_t checks = ht_likely(count) ? ht_memo_checks(&m->rest[count - 1]) : 0;
    for (const struct ht_memo_check *c = m->check + checks; ht_unlikely(c > m->check); count = c->frame) {
        c--;
        if (!ht_memo_still_there(m, c->frame, count) || ht_load(c->address) != c->value) return false;
    }
    return ht_memo_still_there(m, 0, count);
}

// How many of the outermost frames may still be as they were when those of [0, count) are not: those outside the innermost
// that changed. `count` itself: nothing changed.
uint32_t ht_memo_unchanged(const struct ht_memo *m, uint32_t count);

// The hashes of a stack, frame by frame from the root; also what ht_memo_rest holds.
struct ht_stack_hash {
    uint64_t a, b;
};
static inline struct ht_stack_hash ht_stack_hash_begin(uint64_t salt) {
    return (struct ht_stack_hash){0x243f6a8885a308d3ull + salt, 0x13198a2e03707344ull};
}
// Two polynomials in the pcs: a change of any one pc changes both, whatever the others are, for the factors are odd. The upper
// bits are the good ones.
static inline struct ht_stack_hash ht_stack_hash_add(struct ht_stack_hash h, uint64_t pc) {
    return (struct ht_stack_hash){(h.a ^ pc) * 0x9e3779b97f4a7c15ull, (h.b + pc) * 0xd6e8feb86659fd93ull};
}

// The id of the caller's stack if it is the very one remembered; else 0.
static inline uint32_t ht_memo_known(const struct ht_memo *m, uint64_t pc, uint64_t sp, uint64_t bp) {
    const struct ht_memo_leaf *leaf = &m->leaf;
    uint32_t id = leaf->id;
    uint64_t changes = m->changes;
    if (leaf->pc != pc || leaf->sp != sp || (leaf->bp ^ bp) & leaf->bp_mask || !id ||
        m->made_for != __atomic_load_n(&ht_rules_generation, __ATOMIC_ACQUIRE) || !ht_memo_still_true(m, leaf->count))
        return 0;
    ht_compiler_barrier();
    return m->changes == changes ? id : 0; // a signal handler may have captured in between
}

// ---- The rules that are near ----------------------------------------------------------------------------------------------

static inline uint64_t *ht_near_rule(struct ht_memo *m, uint64_t pc) {
    return &m->near[(pc ^ pc >> HT_NEAR_BITS) & ((1 << HT_NEAR_BITS) - 1)];
}

// Is it the rule of this pc, and of the usual kind? Never for what is no address: below a page, or above user space.
static inline bool ht_near_is_usual(uint64_t rule, uint64_t pc) {
    return ht_likely((rule ^ pc >> HT_NEAR_BITS) << (64 - HT_NEAR_BP_BIT) == 0 &&
                     (pc - HT_PC_LEAST) >> HT_PC_BITS == 0);
}

static inline uint64_t ht_near_cfa(uint64_t rule) { return (rule >> HT_NEAR_CFA_BIT) * 8; }

static inline int64_t ht_near_bp(uint64_t rule) {
    enum { ABOVE = 64 - HT_NEAR_CFA_BIT, WIDTH = HT_NEAR_CFA_BIT - HT_NEAR_BP_BIT };
    return ((int64_t)(rule << ABOVE) >> (64 - WIDTH)) * 8;
}

// The remembered frame with this sp, if there is one: what stands here is a hint, to be verified.
static inline uint16_t *ht_memo_place(struct ht_memo *m, uint64_t sp) {
    return &m->place[sp / 16 & ((1 << HT_PLACE_BITS) - 1)];
}

// ---- Capturing ------------------------------------------------------------------------------------------------------------

// Puts a frame on top of the first n.
static inline void ht_memo_push(struct ht_memo *m, uint32_t n, uint64_t sp, uint64_t pc, struct ht_stack_hash h,
                                uint32_t extras) {
    m->frame[n].sp = sp, m->frame[n].pc = pc;
    struct ht_memo_rest *r = &m->rest[n];
    r->hash[0] = h.a, r->hash[1] = h.b;
    r->id = 0, r->extras = extras;
    *ht_memo_place(m, sp) = (uint16_t)n;
}

// ht_memo_capture for the usual case: the new frames have usual rules, and the bp of the one that is met among the remembered
// ones does not matter. Then where the new ones save theirs does not matter either. False: it is not so, and nothing was
// changed.
static inline bool ht_memo_capture_usual(struct ht_memo *m, uint64_t pc, uint64_t sp, uint64_t bp) {
    enum { FRESH_MOST = 256 }; // more is walked once more, and costs little beside what it cost
    uint32_t stay = m->count, fresh = 0, met;
    if (ht_unlikely(m->made_for != __atomic_load_n(&ht_rules_generation, __ATOMIC_ACQUIRE))) return false;
    for (;;) {
        met = *ht_memo_place(m, sp);
        if (met < stay && ht_memo_same_place(m, met, pc, sp)) {
            if (ht_unlikely(ht_memo_bp_matters(&m->rest[met])) && (fresh || m->rest[met].bp != bp)) return false;
            if (ht_likely(ht_memo_still_true(m, met + 1))) break;
            stay = ht_memo_unchanged(m, met + 1);
        }
        uint64_t rule = *ht_near_rule(m, pc);
        if (ht_unlikely(!ht_near_is_usual(rule, pc) || fresh == FRESH_MOST)) return false;
        m->fresh[fresh].sp = sp, m->fresh[fresh].pc = pc;
        fresh++;
        sp += ht_near_cfa(rule);
        pc = ht_load(sp - 8);
    }
    if (ht_unlikely(met + fresh >= HT_MAX_DEPTH)) return false; // more than fit
    m->changes++;
    uint32_t extras = m->rest[met].extras;
    struct ht_stack_hash h = {m->rest[met].hash[0], m->rest[met].hash[1]};
    while (fresh-- > 0) {
        h = ht_stack_hash_add(h, ht_modules_meaning(m->fresh[fresh].pc));
        ht_memo_push(m, ++met, m->fresh[fresh].sp, m->fresh[fresh].pc, h, extras);
    }
    m->count = met + 1;
    m->leaf.id = 0;
    return true;
}

// The stack remembered has this id.
static inline void ht_memo_name(struct ht_memo *m, uint32_t id) {
    const struct ht_memo_frame *f = &m->frame[m->count - 1];
    struct ht_memo_rest *leaf = &m->rest[m->count - 1];
    leaf->id = id;
    m->leaf = (struct ht_memo_leaf){f->sp, f->pc, leaf->bp, ht_memo_bp_matters(leaf) ? ~0ull : 0, id, m->count};
}

#endif
