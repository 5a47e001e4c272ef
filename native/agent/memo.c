// SPDX-License-Identifier: Apache-2.0
#include "memo.h"

#include "modules.h"
#include "rules.h"

struct walk { // from the leaf outward
    struct ht_caller at;
    uint32_t fresh;     // frames in m->fresh
    uint32_t checks;    // in m->fresh_check
    uint32_t bp_since;  // the first fresh frame that has the present bp
    uint64_t bp_saved;  // where the present bp was loaded from; 0: it is the leaf's own
    uint64_t bp_loaded; // and what it was
};

// `frame` depends on a word of the stack. More of those than usual are counted, and the stack is then not remembered.
static void add_check(struct ht_memo *m, struct walk *w, uint32_t frame, uint64_t address, uint64_t value) {
    uint32_t i = w->checks++;
    if (i >= HT_MEMO_NEW_CHECKS) return;
    m->fresh_check[i] = (struct ht_memo_check){address, value};
    m->fresh_check_of[i] = frame;
}

// A frame, not yet among the fresh ones or the last of them, needs the present bp: so the frames it came through depend on it,
// and the frame that saved it depends on the word it was saved in.
static void bp_matters(struct ht_memo *m, struct walk *w) {
    for (uint32_t i = w->fresh; i-- > w->bp_since && !(m->fresh[i].pc & HT_MEMO_BP_MATTERS);)
        m->fresh[i].pc |= HT_MEMO_BP_MATTERS;
    if (!w->bp_saved || !w->bp_since) return;
    add_check(m, w, w->bp_since - 1, w->bp_saved, w->bp_loaded);
    w->bp_saved = 0; // once
}

enum step { STEP_ON, STEP_ROOT, STEP_CANNOT };

// From the last fresh frame to its caller.
static inline enum step step(struct ht_memo *m, struct walk *w, struct ht_unwind_scratch *s) {
    rule_t rule = rule_for(w->at.pc - 1, s);
    uint64_t cfa, where;
    if (ht_likely(rule_kind(rule) == RULE_SP)) {
        cfa = w->at.sp + (uint64_t)rule_cfa(rule);
    } else if (rule_kind(rule) == RULE_BP) {
        bp_matters(m, w);
        cfa = w->at.bp + (uint64_t)rule_cfa(rule);
    } else if (rule_kind(rule) == RULE_BP_DEREF) {
        bp_matters(m, w);
        where = w->at.bp + (uint64_t)rule_cfa(rule);
        cfa = ht_load(where);
        add_check(m, w, w->fresh - 1, where, cfa);
    } else {
        return rule_kind(rule) == RULE_OUTERMOST ? STEP_ROOT : STEP_CANNOT;
    }
    if (ht_unlikely(cfa & 7 || cfa <= w->at.sp)) return STEP_CANNOT;
    int64_t bp = rule_bp(rule);
    if (bp) {
        w->bp_saved = ht_unlikely(bp == SAVED_AT_BP) ? w->at.bp : cfa + (uint64_t)bp;
        w->bp_loaded = w->at.bp = ht_load(w->bp_saved);
        w->bp_since = w->fresh;
    }
    w->at.pc = ht_load(cfa - 8);
    w->at.sp = cfa;
    if (ht_likely(w->at.pc >= 4096)) return STEP_ON;
    add_check(m, w, w->fresh - 1, cfa - 8, w->at.pc); // a coroutine's first frame: the chain ends while this word stays
    return STEP_ROOT;
}

// Walks until a frame equals a remembered one whose outer part still holds, or to the root. Gives the number of remembered
// frames that stay; -1: cannot.
static inline int64_t walk(struct ht_memo *m, struct walk *w, struct ht_unwind_scratch *s) {
    uint32_t left = m->count; // remembered frames that may still be met
    for (;;) {
        while (left && m->frame[left - 1].sp < w->at.sp) left--;
        if (left && ht_memo_same_state(m, left - 1, &w->at)) {
            if (ht_likely(ht_memo_still_true(m, left))) {
                if (m->rest[left - 1].bp_matters) bp_matters(m, w);
                return left;
            }
            left = 0; // something further out changed: walk the rest anew
        }
        if (ht_unlikely(w->fresh == HT_MAX_DEPTH)) return -1;
        m->fresh[w->fresh++] = (struct ht_memo_new){w->at.sp, w->at.bp, w->at.pc};
        enum step r = step(m, w, s);
        if (ht_unlikely(r != STEP_ON)) return r == STEP_ROOT ? 0 : -1;
    }
}

// Puts the fresh frames, outermost first, on top of the m->count that stay.
static inline void push_all(struct ht_memo *m, const struct walk *w, uint64_t salt) {
    uint32_t n = m->count, checks = n ? m->rest[n - 1].checks : 0, more = w->checks;
    struct ht_stack_hash h = ht_stack_hash_begin(salt);
    if (n) h = (struct ht_stack_hash){m->rest[n - 1].hash[0], m->rest[n - 1].hash[1]};
    for (uint32_t i = w->fresh; i-- > 0; n++) {
        const struct ht_memo_new *f = &m->fresh[i];
        uint64_t pc = f->pc & ~HT_MEMO_BP_MATTERS;
        h = ht_stack_hash_add(h, pc);
        while (ht_unlikely(more && m->fresh_check_of[more - 1] >= i)) m->check[checks++] = m->fresh_check[--more];
        m->frame[n] = (struct ht_memo_frame){f->sp, pc};
        m->rest[n] = (struct ht_memo_rest){{h.a, h.b}, f->bp, checks, 0, f->pc >> 63};
    }
    m->count = n;
}

static inline bool fits(const struct ht_memo *m, const struct walk *w, int64_t stay) {
    uint32_t checks = stay > 0 ? m->rest[stay - 1].checks : 0;
    return stay >= 0 && stay + w->fresh <= HT_MAX_DEPTH && w->checks <= HT_MEMO_NEW_CHECKS &&
           checks + w->checks <= HT_MEMO_CHECKS;
}

bool ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s) {
    uint64_t meaning = __atomic_load_n(&ht_rules_generation, __ATOMIC_ACQUIRE), salt = ht_modules_salt();
    if (ht_unlikely(m->made_for != meaning)) m->count = 0, m->made_for = meaning;
    m->changes++;
    struct walk w = {.at = *from};
    int64_t stay = walk(m, &w, s);
    if (ht_unlikely(!fits(m, &w, stay))) {
        m->count = 0;
        return false;
    }
    m->count = (uint32_t)stay;
    push_all(m, &w, salt);
    return true;
}
