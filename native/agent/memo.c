// SPDX-License-Identifier: Apache-2.0
#include "memo.h"

#include "modules.h"
#include "rules.h"

// ---- What besides return addresses the chain depends on -----------------------------------------------------------------

// `frame` depends on a word of the stack. More of those than usual are counted, and the stack is then not remembered.
static void add_check(struct ht_memo *m, uint32_t frame, uint64_t address, uint64_t value) {
    uint32_t i = m->fresh_checks++;
    if (i >= HT_MEMO_NEW_CHECKS) return;
    m->fresh_check[i] = (struct ht_memo_check){address, value};
    m->fresh_check_of[i] = frame;
}

struct saved_bp {   // the present frame pointer of a walk
    uint64_t at;    // where it was loaded from; 0: it is the leaf's own, or that word is checked already
    uint32_t since; // the first fresh frame that has it
};

// A frame outside the first `fresh` ones, or the last of them, needs the present bp: so the frames it came through depend on
// it, and the frame that saved it depends on the word it was saved in.
static HT_NOINLINE void bp_matters(struct ht_memo *m, uint32_t fresh, struct saved_bp saved, uint64_t bp) {
    for (uint32_t i = fresh; i-- > saved.since && !(m->fresh[i].pc & HT_MEMO_BP_MATTERS);)
        m->fresh[i].pc |= HT_MEMO_BP_MATTERS;
    if (saved.at && saved.since) add_check(m, saved.since - 1, saved.at, bp);
}

// ---- Walking ----------------------------------------------------------------------------------------------------------------

enum { CANNOT = -1 };

// The CFA of the last of the fresh frames by the less usual rules; 0: there is none to find.
static inline uint64_t cfa_by_bp(struct ht_memo *m, rule_t rule, uint32_t fresh, uint64_t bp, struct saved_bp *saved) {
    enum rule_kind kind = rule_kind(rule);
    if (kind != RULE_BP && kind != RULE_BP_DEREF) return 0;
    bp_matters(m, fresh, *saved, bp);
    saved->at = 0;
    uint64_t where = bp + (uint64_t)rule_cfa(rule);
    if (kind == RULE_BP) return where;
    add_check(m, fresh - 1, where, ht_load(where));
    return ht_load(where);
}

// Walks until a frame equals a remembered one whose outer part still holds, or to the root. The frames that are not
// remembered go to m->fresh, leaf first, their number to *ret_fresh. Gives how many remembered frames stay, or CANNOT.
static inline int64_t walk(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s,
                           uint32_t *ret_fresh) {
    uint64_t pc = from->pc, sp = from->sp, bp = from->bp, cfa;
    struct saved_bp saved = {0, 0};
    uint32_t left = m->count, fresh = 0; // left: remembered frames that may still be met
    for (;; sp = cfa) {
        while (left && m->frame[left - 1].sp < sp) left--;
        if (left && ht_memo_same_state(m, left - 1, pc, sp, bp)) {
            if (ht_likely(ht_memo_still_true(m, left))) {
                if (m->rest[left - 1].bp_matters) bp_matters(m, fresh, saved, bp);
                *ret_fresh = fresh;
                return left;
            }
            left = 0; // something further out changed: walk the rest anew
        }
        if (ht_unlikely(fresh == HT_MAX_DEPTH)) return CANNOT;
        m->fresh[fresh++] = (struct ht_memo_new){sp, bp, pc};
        *ret_fresh = fresh;
        rule_t rule = rule_for(pc - 1, s);
        if (ht_likely(rule_kind(rule) == RULE_SP)) {
            cfa = sp + (uint64_t)rule_cfa(rule);
        } else {
            if (rule_kind(rule) == RULE_OUTERMOST) return 0;
            cfa = cfa_by_bp(m, rule, fresh, bp, &saved);
        }
        if (ht_unlikely(cfa & 7 || cfa <= sp)) return CANNOT;
        int64_t bp_at = rule_bp(rule);
        if (bp_at) {
            if (ht_unlikely(bp_at == SAVED_AT_BP)) bp_matters(m, fresh, saved, bp);
            saved = (struct saved_bp){ht_unlikely(bp_at == SAVED_AT_BP) ? bp : cfa + (uint64_t)bp_at, fresh};
            bp = ht_load(saved.at);
        }
        pc = ht_load(cfa - 8);
        if (ht_unlikely(pc < 4096)) { // a coroutine's first frame: the chain ends while this word stays
            add_check(m, fresh - 1, cfa - 8, pc);
            return 0;
        }
    }
}

// Puts the fresh frames, outermost first, on top of the m->count that stay.
static inline void push_all(struct ht_memo *m, uint32_t fresh) {
    uint32_t n = m->count, checks = n ? m->rest[n - 1].checks : 0, more = m->fresh_checks;
    struct ht_stack_hash h = ht_stack_hash_begin(ht_modules_salt());
    if (n) h = (struct ht_stack_hash){m->rest[n - 1].hash[0], m->rest[n - 1].hash[1]};
    for (uint32_t i = fresh; i-- > 0; n++) {
        const struct ht_memo_new *f = &m->fresh[i];
        uint64_t pc = f->pc & ~HT_MEMO_BP_MATTERS;
        h = ht_stack_hash_add(h, ht_modules_meaning(pc));
        while (ht_unlikely(more && m->fresh_check_of[more - 1] >= i)) m->check[checks++] = m->fresh_check[--more];
        m->frame[n] = (struct ht_memo_frame){f->sp, pc};
        m->rest[n] = (struct ht_memo_rest){{h.a, h.b}, f->bp, checks, 0, f->pc >> 63};
    }
    m->count = n;
}

static inline bool fits(const struct ht_memo *m, uint32_t fresh, int64_t stay) {
    uint32_t checks = stay > 0 ? m->rest[stay - 1].checks : 0;
    return stay >= 0 && stay + fresh <= HT_MAX_DEPTH && m->fresh_checks <= HT_MEMO_NEW_CHECKS &&
           checks + m->fresh_checks <= HT_MEMO_CHECKS;
}

bool ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s) {
    uint64_t meaning = __atomic_load_n(&ht_rules_generation, __ATOMIC_ACQUIRE);
    if (ht_unlikely(m->made_for != meaning)) m->count = 0, m->made_for = meaning;
    m->changes++;
    m->fresh_checks = 0;
    uint32_t fresh;
    int64_t stay = walk(m, from, s, &fresh);
    if (ht_unlikely(!fits(m, fresh, stay))) {
        m->count = 0;
        return false;
    }
    m->count = (uint32_t)stay;
    push_all(m, fresh); // what addresses mean is asked now: the walk may have met a library that is new
    return true;
}
