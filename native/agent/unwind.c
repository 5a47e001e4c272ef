// SPDX-License-Identifier: Apache-2.0
#include "unwind.h"

#include "modules.h"

// ---- Rules --------------------------------------------------------------------------------------------------------------
//
// A rule says in 64 bits how to get from a frame to its caller:
//
//    63      40 39          16 15       4 3    0
//   +----------+--------------+----------+------+
//   | tag      | CFA offset/8 | bp at /8 | kind |      bp at: where the caller's frame pointer is saved, from the CFA;
//   +----------+--------------+----------+------+             0 (the CFA itself never holds it): it is unchanged
//
// The tag repeats part of the pc's hash and the cache's generation: an entry half overwritten by another thread, or older
// than the last flush, is not believed.
enum rule_kind {
    RULE_EMPTY,
    RULE_SP,       // CFA = sp + offset
    RULE_BP,       // CFA = bp + offset
    RULE_BP_DEREF, // CFA = *(bp + offset): a realigned frame
    RULE_SIGNAL,   // the kernel's signal frame: the context lies at sp
    RULE_OUTERMOST,
    RULE_NO_CFI,
    RULE_COMPLEX, // all registers are needed: the slow walk
};

typedef uint64_t rule_t;

enum { SAVED_AT_BP = 8 }; // as "bp at", which else is negative: the caller's frame pointer is saved where bp points

static inline enum rule_kind rule_kind(rule_t r) { return (enum rule_kind)(r & 15); }
static inline int64_t rule_bp(rule_t r) { return ((int64_t)(r << 48) >> 52) * 8; }
static inline int64_t rule_cfa(rule_t r) { return ((int64_t)(r << 24) >> 40) * 8; }

static rule_t make_rule(enum rule_kind kind, int64_t cfa, int64_t bp) {
    bool fits =
        !(cfa & 7) && !(bp & 7) && cfa / 8 >= -(1 << 23) && cfa / 8 < 1 << 23 && bp / 8 >= -2048 && bp / 8 < 2048;
    if (!fits) return RULE_COMPLEX;
    return (uint64_t)kind | ((uint64_t)(bp / 8) & 0xfff) << 4 | ((uint64_t)(cfa / 8) & 0xffffff) << 16;
}

// ---- The cache ------------------------------------------------------------------------------------------------------------

enum { CACHE_BITS = 16 };
struct cached {
    uint64_t pc;
    rule_t rule;
};
static struct cached *cache;
static uint64_t generation = 1;

bool ht_unwind_init(void) {
    if (!cache) cache = ht_sys_map(sizeof(struct cached) << CACHE_BITS);
    return cache != NULL;
}

void ht_unwind_flush(void) { __atomic_fetch_add(&generation, 1, __ATOMIC_SEQ_CST); }

static inline uint64_t hash(uint64_t pc) { return pc * 0x9e3779b97f4a7c15ull; }
static inline uint64_t tag(uint64_t h) { // of this generation, in the rule's place
    return (h << 8 ^ __atomic_load_n(&generation, __ATOMIC_RELAXED) * 0x1d8e4e27c47d124full) >> 40 << 40;
}

static HT_COLD rule_t find_rule(uint64_t look, struct ht_unwind_scratch *s);

// `look` lies inside the instruction meant: a return address less one, or an interrupted pc.
static inline rule_t rule_for(uint64_t look, struct ht_unwind_scratch *s) {
    uint64_t h = hash(look);
    struct cached *c = &cache[h >> (64 - CACHE_BITS)];
    rule_t rule = __atomic_load_n(&c->rule, __ATOMIC_ACQUIRE);
    if (ht_likely(__atomic_load_n(&c->pc, __ATOMIC_RELAXED) == look && rule >> 40 << 40 == tag(h))) return rule;
    return find_rule(look, s);
}

// ---- From a row of the table to a rule ------------------------------------------------------------------------------------

// CFA = *(bp + n), as compilers write it for realigned frames: DW_OP_breg6 n; DW_OP_deref.
static bool is_bp_deref(int64_t expression, int64_t *ret_offset) {
    const int8_t *p = (const int8_t *)(uintptr_t)expression;
    if (p[0] != 3 || (uint8_t)p[1] != 0x70 + HT_REG_BP || p[3] != 0x06 || p[2] & 0x80) return false;
    *ret_offset = (int8_t)((uint8_t)p[2] << 1) >> 1; // a one-byte SLEB
    return true;
}

static bool is_bp_itself(int64_t expression) { // DW_OP_breg6 0
    const uint8_t *p = (const uint8_t *)(uintptr_t)expression;
    return p[0] == 2 && p[1] == 0x70 + HT_REG_BP && p[2] == 0;
}

// An expression of sp and pc alone, as procedure linkage tables have, is sp + constant for a given pc.
static bool is_sp_constant(int64_t expression, uint64_t pc, int64_t *ret_offset) {
    struct ht_registers r = {0};
    r.r[HT_REG_PC] = pc;
    uint64_t at_0, at_4096;
    if (!ht_cfi_evaluate((uint64_t)expression, &r, NULL, false, &at_0)) return false;
    r.r[HT_REG_SP] = 4096;
    if (!ht_cfi_evaluate((uint64_t)expression, &r, NULL, false, &at_4096) || at_4096 - at_0 != 4096) return false;
    *ret_offset = (int64_t)at_0;
    return true;
}

static rule_t compile(const struct ht_cfi_frame *f, uint64_t pc) {
    const struct ht_cfi_row *row = &f->row;
    if (f->signal_frame) return RULE_SIGNAL;
    if (row->where[HT_REG_PC] == HT_CFI_UNDEFINED) return RULE_OUTERMOST;
    bool usual_pc = row->where[HT_REG_PC] == HT_CFI_OFFSET && row->value[HT_REG_PC] == -8;
    bool usual_sp = row->where[HT_REG_SP] == HT_CFI_SAME ||
                    (row->where[HT_REG_SP] == HT_CFI_VAL_OFFSET && row->value[HT_REG_SP] == 0);
    if (!usual_pc || !usual_sp) return RULE_COMPLEX;

    int64_t bp = 0, offset = row->cfa_offset;
    if (row->where[HT_REG_BP] == HT_CFI_OFFSET)
        bp = row->value[HT_REG_BP];
    else if (row->where[HT_REG_BP] == HT_CFI_EXPRESSION && is_bp_itself(row->value[HT_REG_BP]))
        bp = SAVED_AT_BP;
    else if (row->where[HT_REG_BP] != HT_CFI_SAME)
        return RULE_COMPLEX;

    if (row->cfa_is_expression) {
        if (is_bp_deref(row->cfa_offset, &offset)) return make_rule(RULE_BP_DEREF, offset, bp);
        if (is_sp_constant(row->cfa_offset, pc, &offset)) return make_rule(RULE_SP, offset, bp);
        return RULE_COMPLEX;
    }
    if (row->cfa_register == HT_REG_SP) return make_rule(RULE_SP, offset, bp);
    if (row->cfa_register == HT_REG_BP) return make_rule(RULE_BP, offset, bp);
    return RULE_COMPLEX;
}

static HT_COLD rule_t find_rule(uint64_t look, struct ht_unwind_scratch *s) {
    uint64_t h = hash(look), my_tag = tag(h); // before the look-up: a flush in between must win
    struct ht_module_lookup module;
    ht_modules_lookup(look, &module);
    rule_t rule = RULE_NO_CFI;
    if (module.eh_frame_hdr && ht_cfi_find(module.eh_frame_hdr, look, &s->cfi, &s->frame) == HT_CFI_FOUND)
        rule = compile(&s->frame, look + 1);
    rule |= my_tag;
    if (module.known) { // an address whose module could not be recorded is looked up again, so that it will be
        struct cached *c = &cache[h >> (64 - CACHE_BITS)];
        __atomic_store_n(&c->rule, RULE_EMPTY, __ATOMIC_RELAXED);
        __atomic_store_n(&c->pc, look, __ATOMIC_RELEASE);
        __atomic_store_n(&c->rule, rule, __ATOMIC_RELEASE);
    }
    return rule;
}

// ---- Walking ----------------------------------------------------------------------------------------------------------------

static inline uint64_t load(uint64_t address) { return *(const uint64_t *)(uintptr_t)address; }

static bool push_pc(struct ht_unwind_scratch *s, uint64_t pc) {
    if (s->depth == HT_MAX_DEPTH) {
        s->flags |= HT_STACK_TRUNCATED;
        return false;
    }
    s->pcs[s->depth++] = pc;
    return true;
}

// One step by the frame pointer where there is no table; only within the thread's own stack and into known code.
static HT_COLD bool guess(struct ht_caller *at, struct ht_unwind_scratch *s) {
    uint64_t end = ht_sys_stack_end(at->sp);
    if (!end || at->bp & 7 || at->bp < at->sp || at->bp + 16 > end) return false;
    uint64_t pc = load(at->bp + 8);
    struct ht_module_lookup module;
    ht_modules_lookup(pc - 1, &module);
    if (!module.found) return false;
    *at = (struct ht_caller){.pc = pc, .sp = at->bp + 16, .bp = load(at->bp)};
    s->flags |= HT_STACK_GUESSED;
    s->guesses++;
    return true;
}

static HT_COLD void walk_with_all_registers(const struct ht_caller *from, struct ht_unwind_scratch *s);

void ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *s) {
    struct ht_caller at = *from;
    bool interrupted = false; // at.pc is an interrupted pc and no return address
    s->depth = 0, s->flags = 0, s->guesses = 0;
    push_pc(s, at.pc);
    for (;;) {
        rule_t rule = rule_for(at.pc - !interrupted, s);
        uint64_t cfa;
        switch (rule_kind(rule)) {
        case RULE_SP: cfa = at.sp + (uint64_t)rule_cfa(rule); break;
        case RULE_BP: cfa = at.bp + (uint64_t)rule_cfa(rule); break;
        case RULE_BP_DEREF: cfa = load(at.bp + (uint64_t)rule_cfa(rule)); break;
        case RULE_SIGNAL:
            ht_sys_signal_context(at.sp, &s->registers);
            at = (struct ht_caller){s->registers.r[HT_REG_PC], s->registers.r[HT_REG_SP], s->registers.r[HT_REG_BP]};
            s->flags |= HT_STACK_SIGNAL;
            interrupted = true;
            if (!push_pc(s, at.pc + 1)) return;
            continue;
        case RULE_COMPLEX: walk_with_all_registers(from, s); return;
        case RULE_OUTERMOST: return;
        default:
            if (!guess(&at, s)) {
                s->flags |= HT_STACK_NO_CFI;
                return;
            }
            interrupted = false;
            if (!push_pc(s, at.pc)) return;
            continue;
        }
        if (ht_unlikely(cfa & 7 || cfa <= at.sp)) { // stacks grow down: this table is wrong here
            s->flags |= HT_STACK_NO_CFI;
            return;
        }
        int64_t bp = rule_bp(rule);
        if (bp) at.bp = load(bp == SAVED_AT_BP ? at.bp : cfa + (uint64_t)bp);
        at.pc = load(cfa - 8);
        at.sp = cfa;
        interrupted = false;
        if (at.pc < 4096) return; // a coroutine's first frame often returns to zero
        if (!push_pc(s, at.pc)) return;
    }
}

// ---- The slow walk: every register, from here outward -----------------------------------------------------------------

static bool cfa_of(const struct ht_cfi_row *row, const struct ht_registers *r, uint64_t *ret) {
    if (row->cfa_is_expression) return ht_cfi_evaluate((uint64_t)row->cfa_offset, r, NULL, true, ret);
    if (row->cfa_register >= HT_REG_COUNT) return false;
    *ret = r->r[row->cfa_register] + (uint64_t)row->cfa_offset;
    return true;
}

static bool caller_register(const struct ht_cfi_row *row, int i, const struct ht_registers *r, uint64_t cfa,
                            uint64_t *ret) {
    uint64_t address;
    switch (row->where[i]) {
    case HT_CFI_SAME: *ret = r->r[i]; return true;
    case HT_CFI_OFFSET: *ret = load(cfa + (uint64_t)row->value[i]); return true;
    case HT_CFI_VAL_OFFSET: *ret = cfa + (uint64_t)row->value[i]; return true;
    case HT_CFI_REGISTER: *ret = (uint64_t)row->value[i] < HT_REG_COUNT ? r->r[row->value[i]] : 0; return true;
    case HT_CFI_EXPRESSION:
        if (!ht_cfi_evaluate((uint64_t)row->value[i], r, &cfa, true, &address)) return false;
        *ret = load(address);
        return true;
    case HT_CFI_VAL_EXPRESSION: return ht_cfi_evaluate((uint64_t)row->value[i], r, &cfa, true, ret);
    default: return i != HT_REG_PC ? (*ret = 0, true) : false;
    }
}

static bool apply_row(const struct ht_cfi_row *row, struct ht_registers *r) {
    uint64_t cfa;
    struct ht_registers caller;
    if (!cfa_of(row, r, &cfa) || cfa & 7) return false;
    for (int i = 0; i < HT_REG_COUNT; i++)
        if (!caller_register(row, i, r, cfa, &caller.r[i])) return false;
    if (row->where[HT_REG_SP] == HT_CFI_SAME) caller.r[HT_REG_SP] = cfa;
    *r = caller;
    return true;
}

// From one frame to its caller. False at the outermost frame or where the tables end (then the flag says so).
static bool step_out(struct ht_registers *r, bool *interrupted, struct ht_unwind_scratch *s) {
    struct ht_module_lookup module;
    uint64_t look = r->r[HT_REG_PC] - !*interrupted;
    ht_modules_lookup(look, &module);
    if (!module.eh_frame_hdr || ht_cfi_find(module.eh_frame_hdr, look, &s->cfi, &s->frame) != HT_CFI_FOUND) {
        struct ht_caller at = {r->r[HT_REG_PC], r->r[HT_REG_SP], r->r[HT_REG_BP]};
        *interrupted = false;
        if (!guess(&at, s)) {
            s->flags |= HT_STACK_NO_CFI;
            return false;
        }
        r->r[HT_REG_PC] = at.pc, r->r[HT_REG_SP] = at.sp, r->r[HT_REG_BP] = at.bp;
        return true;
    }
    *interrupted = s->frame.signal_frame;
    if (s->frame.signal_frame) {
        ht_sys_signal_context(r->r[HT_REG_SP], r);
        s->flags |= HT_STACK_SIGNAL;
        return true;
    }
    if (s->frame.row.where[HT_REG_PC] == HT_CFI_UNDEFINED) return false;
    if (!apply_row(&s->frame.row, r)) {
        s->flags |= HT_STACK_NO_CFI;
        return false;
    }
    return r->r[HT_REG_PC] >= 4096;
}

// Some frame's CFA depends on a register that the quick walk does not follow. We know all registers only here, so begin
// in this very function, leave our own frames by our own tables, and record from `from` on.
static HT_COLD void walk_with_all_registers(const struct ht_caller *from, struct ht_unwind_scratch *s) {
    struct ht_registers *r = &s->registers;
    bool interrupted = false;
    enum { OWN_FRAMES_AT_MOST = 32 };
    HT_HERE(r);
    for (int i = 0; r->r[HT_REG_PC] != from->pc || r->r[HT_REG_SP] != from->sp; i++)
        if (i == OWN_FRAMES_AT_MOST || !step_out(r, &interrupted, s)) return; // what the quick walk found stays
    s->depth = 0, s->flags = 0, s->guesses = 0;
    push_pc(s, from->pc);
    while (step_out(r, &interrupted, s))
        if (!push_pc(s, r->r[HT_REG_PC] + interrupted)) return;
}
