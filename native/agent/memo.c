// SPDX-License-Identifier: Apache-2.0
#include "memo.h"

#include <string.h>

#include "modules.h"
#include "rules.h"

// ---- What besides return addresses the chain depends on -----------------------------------------------------------------

// `frame` depends on a word of the stack. More of those than usual are counted, and the stack is then not remembered.
static void add_check(struct ht_memo *m, uint32_t frame, uint64_t address, uint64_t value) {
    uint32_t i = m->fresh_checks++;
    if (i >= HT_MEMO_NEW_CHECKS) return;
    m->fresh_check[i] = (struct ht_memo_check){address, value, frame};
}

struct saved_bp {   // the present frame pointer of a walk
    uint64_t at;    // where it is saved; 0: it is the caller's own
    uint32_t since; // the first fresh frame that has it; with BP_IS_CHECKED if the word at `at` is among the checks
};
enum { BP_IS_CHECKED = 1 << 16 };
_Static_assert(HT_MAX_DEPTH < BP_IS_CHECKED, "a number of frames and a flag");

static inline uint64_t bp_of(uint64_t at, const struct ht_caller *from) { return at ? ht_load(at) : from->bp; }

// A frame outside the first `fresh` ones, or the last of them, needs the present bp: so the frames it came through depend on
// it, and the frame that saved it depends on the word it was saved in.
static HT_NOINLINE void bp_matters(struct ht_memo *m, uint32_t fresh, struct saved_bp saved) {
    uint32_t since = saved.since & ~BP_IS_CHECKED;
    for (uint32_t i = fresh; i-- > since && !(m->fresh[i].pc & HT_MEMO_BP_MATTERS);)
        m->fresh[i].pc |= HT_MEMO_BP_MATTERS;
    if (saved.at && since && since == saved.since) add_check(m, since - 1, saved.at, ht_load(saved.at));
}

// ---- Rules that are near ------------------------------------------------------------------------------------------------

// Only what is told at a glance is kept; the rest is rare enough to be asked for each time.
static void bring_near(struct ht_memo *m, uint64_t pc, rule_t rule) {
    int64_t cfa = rule_cfa(rule), bp = rule_bp(rule);
    if (rule_kind(rule) != RULE_SP || bp == SAVED_AT_BP || bp < -256 * 8 || bp > 255 * 8) return;
    if (cfa <= 0 || cfa / 8 >> (64 - HT_NEAR_CFA_BIT) || pc >> HT_PC_BITS) return;
    *ht_near_rule(m, pc) = (uint64_t)cfa / 8 << HT_NEAR_CFA_BIT |
                           ((uint64_t)(bp / 8) & ((1 << (HT_NEAR_CFA_BIT - HT_NEAR_BP_BIT)) - 1)) << HT_NEAR_BP_BIT |
                           pc >> HT_NEAR_BITS;
}

uint32_t ht_memo_unchanged(const struct ht_memo *m, uint32_t count) {
    if (ht_likely(ht_memo_still_true(m, count))) return count;
    for (uint32_t i = count; i-- > 0;) {
        if (!ht_memo_holds(&m->frame[i])) return i;
        for (uint32_t c = ht_memo_checks(&m->rest[i]); c-- > (i ? ht_memo_checks(&m->rest[i - 1]) : 0);)
            if (ht_load(m->check[c].address) != m->check[c].value) return i;
    }
    return count;
}

// ---- Walking ----------------------------------------------------------------------------------------------------------------

enum { CANNOT = -1 };
enum step { STEP_ON, STEP_OUTERMOST, STEP_CANNOT };

// The CFA of the last of the fresh frames by the less usual rules; 0: there is none to find.
static uint64_t cfa_by_bp(struct ht_memo *m, rule_t rule, uint32_t fresh, const struct ht_caller *from,
                          struct saved_bp *saved) {
    enum rule_kind kind = rule_kind(rule);
    if (kind != RULE_BP && kind != RULE_BP_DEREF) return 0;
    bp_matters(m, fresh, *saved);
    saved->since |= BP_IS_CHECKED;
    uint64_t where = bp_of(saved->at, from) + (uint64_t)rule_cfa(rule);
    if (kind == RULE_BP) return where;
    add_check(m, fresh - 1, where, ht_load(where));
    return ht_load(where);
}

// From the last of the fresh frames to its caller by whatever rule there is.
static HT_NOINLINE enum step step_out(struct ht_memo *m, uint32_t fresh, const struct ht_caller *from,
                                      struct ht_unwind_scratch *s, struct saved_bp *saved, uint64_t *ret_cfa) {
    uint64_t pc = m->fresh[fresh - 1].pc & ~HT_MEMO_BP_MATTERS, sp = m->fresh[fresh - 1].sp;
    rule_t rule;
    if (ht_rules_have(pc - 1, &rule))
        bring_near(m, pc, rule);
    else
        rule = ht_rules_find(pc - 1, s);
    if (rule_kind(rule) == RULE_OUTERMOST) return STEP_OUTERMOST;
    uint64_t cfa = rule_kind(rule) == RULE_SP ? sp + (uint64_t)rule_cfa(rule) : cfa_by_bp(m, rule, fresh, from, saved);
    if (cfa & 7 || cfa <= sp) return STEP_CANNOT;
    int64_t bp_at = rule_bp(rule);
    if (bp_at == SAVED_AT_BP) {
        bp_matters(m, fresh, *saved);
        *saved = (struct saved_bp){bp_of(saved->at, from), fresh};
    } else if (bp_at) {
        *saved = (struct saved_bp){cfa + (uint64_t)bp_at, fresh};
    }
    *ret_cfa = cfa;
    return STEP_ON;
}

// Is the state of the walk that of remembered frame i?
static inline bool meets(const struct ht_memo *m, uint32_t i, uint64_t pc, uint64_t sp, const struct ht_caller *from,
                         uint64_t bp_at) {
    return ht_memo_same_place(m, i, pc, sp) &&
           (ht_likely(!ht_memo_bp_matters(&m->rest[i])) || m->rest[i].bp == bp_of(bp_at, from));
}

// Walks until a frame equals a remembered one whose outer part still holds, or to the root. The frames that are not
// remembered go to m->fresh, leaf first, their number to *ret_fresh. Gives how many remembered frames stay, or CANNOT.
static inline int64_t walk(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s,
                           uint32_t *ret_fresh) {
    uint64_t pc = from->pc, sp = from->sp, cfa;
    struct saved_bp saved = {0, 0};
    uint32_t stay = m->count, fresh = 0; // stay: remembered frames that may be met
    for (;; sp = cfa) {
        uint32_t met = *ht_memo_place(m, sp); // if any
        if (met < stay && meets(m, met, pc, sp, from, saved.at)) {
            stay = ht_memo_unchanged(m, met + 1);
            if (ht_likely(stay == met + 1)) {
                if (ht_unlikely(ht_memo_bp_matters(&m->rest[met]))) bp_matters(m, fresh, saved);
                *ret_fresh = fresh;
                return stay;
            }
        }
        if (ht_unlikely(fresh == HT_MAX_DEPTH)) return CANNOT;
        m->fresh[fresh++] = (struct ht_memo_new){sp, pc, saved.at};
        uint64_t rule = *ht_near_rule(m, pc);
        if (ht_likely(ht_near_is_usual(rule, pc))) {
            cfa = sp + ht_near_cfa(rule);
            int64_t bp_at = ht_near_bp(rule);
            if (bp_at) saved = (struct saved_bp){cfa + (uint64_t)bp_at, fresh};
        } else {
            struct saved_bp other = saved;
            enum step how = step_out(m, fresh, from, s, &other, &cfa);
            *ret_fresh = fresh;
            if (how != STEP_ON) return how == STEP_OUTERMOST ? 0 : CANNOT;
            saved = other;
        }
        pc = ht_load(cfa - 8);
        if (ht_unlikely((pc - HT_PC_LEAST) >> HT_PC_BITS)) {
            if (pc >= HT_PC_LEAST) return CANNOT;
            add_check(m, fresh - 1, cfa - 8, pc); // a coroutine's first frame: the chain ends while this word stays
            *ret_fresh = fresh;
            return 0;
        }
    }
}

// Puts the fresh frames, outermost first, on top of the m->count that stay.
static inline void push_all(struct ht_memo *m, uint32_t fresh, const struct ht_caller *from) {
    uint32_t n = m->count, checks = n ? ht_memo_checks(&m->rest[n - 1]) : 0, more = m->fresh_checks;
    struct ht_stack_hash h = ht_stack_hash_begin(ht_modules_salt());
    if (n) h = (struct ht_stack_hash){m->rest[n - 1].hash[0], m->rest[n - 1].hash[1]};
    for (uint32_t i = fresh; i-- > 0; n++) {
        const struct ht_memo_new *f = &m->fresh[i];
        uint64_t pc = f->pc & ~HT_MEMO_BP_MATTERS;
        uint32_t matters = f->pc >> 63;
        h = ht_stack_hash_add(h, ht_modules_meaning(pc));
        for (; ht_unlikely(more && m->fresh_check[more - 1].frame >= i); checks++) {
            m->check[checks] = m->fresh_check[--more];
            m->check[checks].frame = n;
        }
        ht_memo_push(m, n, f->sp, pc, h, checks << 1 | matters);
        if (ht_unlikely(matters)) m->rest[n].bp = bp_of(f->bp_at, from);
    }
    m->count = n;
}

static inline bool fits(const struct ht_memo *m, uint32_t fresh, int64_t stay) {
    uint32_t checks = stay > 0 ? ht_memo_checks(&m->rest[stay - 1]) : 0;
    return stay >= 0 && stay + fresh <= HT_MAX_DEPTH && m->fresh_checks <= HT_MEMO_NEW_CHECKS &&
           checks + m->fresh_checks <= HT_MEMO_CHECKS;
}

static HT_COLD void begin_anew(struct ht_memo *m, uint64_t meaning) {
    ht_memo_forget(m);
    memset(m->near, 0, sizeof m->near);
    m->made_for = meaning;
}

bool ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s) {
    uint64_t meaning = __atomic_load_n(&ht_rules_generation, __ATOMIC_ACQUIRE);
    if (ht_unlikely(m->made_for != meaning)) begin_anew(m, meaning);
    m->changes++;
    m->leaf.id = 0;
    m->fresh_checks = 0;
    uint32_t fresh;
    int64_t stay = walk(m, from, s, &fresh);
    if (ht_unlikely(!fits(m, fresh, stay))) {
        m->count = 0;
        return false;
    }
    m->count = (uint32_t)stay;
    push_all(m, fresh, from); // what addresses mean is asked now: the walk may have met a library that is new
    return true;
}
