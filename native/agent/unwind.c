// SPDX-License-Identifier: Apache-2.0
#include "unwind.h"

#include "modules.h"
#include "rules.h"

// ---- Walking ----------------------------------------------------------------------------------------------------------------

static bool push_pc(struct ht_unwind_scratch *s, uint64_t pc) {
    if (s->depth == HT_MAX_DEPTH) {
        s->flags |= HT_STACK_TRUNCATED;
        return false;
    }
    s->pcs[s->depth++] = pc;
    return true;
}

// One step by the frame pointer where there is no table; only within the thread's own stack and into known code. What follows
// is as trustworthy as that pointer was: *ret_end is where its stack ends, and nothing beyond is read.
static HT_COLD bool guess(struct ht_caller *at, struct ht_unwind_scratch *s, uint64_t *ret_end) {
    uint64_t end = ht_sys_stack_end(at->sp);
    if (!end || at->bp & 7 || at->bp < at->sp || at->bp > end - 16) return false;
    uint64_t pc = ht_load(at->bp + 8);
    struct ht_module_lookup module;
    ht_modules_lookup(pc - 1, &module);
    if (!module.found) return false;
    *at = (struct ht_caller){.pc = pc, .sp = at->bp + 16, .bp = ht_load(at->bp)};
    s->flags |= HT_STACK_GUESSED;
    s->guesses++;
    *ret_end = end;
    return true;
}

// May a word of the stack be read? Before any guess the tables are believed.
static inline bool is_readable(const struct ht_caller *at, uint64_t address, uint64_t end) {
    return ht_likely(!end) || (address >= at->sp && address <= end - 8 && !(address & 7));
}

static HT_COLD void walk_with_all_registers(const struct ht_caller *from, struct ht_unwind_scratch *s);

void ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *s) {
    struct ht_caller at = *from;
    bool interrupted = false; // at.pc is an interrupted pc and no return address
    uint64_t end = 0;         // of the stack, once a step was guessed
    s->depth = 0, s->flags = 0, s->guesses = 0;
    push_pc(s, at.pc);
    for (;;) {
        rule_t rule = rule_for(at.pc - !interrupted, s);
        uint64_t cfa;
        switch (rule_kind(rule)) {
        case RULE_SP: cfa = at.sp + (uint64_t)rule_cfa(rule); break;
        case RULE_BP: cfa = at.bp + (uint64_t)rule_cfa(rule); break;
        case RULE_BP_DEREF:
            cfa = at.bp + (uint64_t)rule_cfa(rule);
            cfa = is_readable(&at, cfa, end) ? ht_load(cfa) : 0;
            break;
        case RULE_SIGNAL:
            if (end) return; // a guess that led into a signal's trampoline is none
            ht_sys_signal_context(at.sp, &s->registers);
            at = (struct ht_caller){s->registers.r[HT_REG_PC], s->registers.r[HT_REG_SP], s->registers.r[HT_REG_BP]};
            s->flags |= HT_STACK_SIGNAL;
            interrupted = true;
            if (!push_pc(s, at.pc + 1)) return;
            continue;
        case RULE_COMPLEX:
            if (!end) walk_with_all_registers(from, s);
            return;
        case RULE_OUTERMOST: return;
        default:
            if (!guess(&at, s, &end)) {
                s->flags |= HT_STACK_NO_CFI;
                return;
            }
            interrupted = false;
            if (!push_pc(s, at.pc)) return;
            continue;
        }
        if (ht_unlikely(cfa & 7 || cfa <= at.sp ||
                        !is_readable(&at, cfa - 8, end))) { // stacks grow down: this table is wrong here
            s->flags |= HT_STACK_NO_CFI;
            return;
        }
        int64_t bp = rule_bp(rule);
        uint64_t saved = bp == SAVED_AT_BP ? at.bp : cfa + (uint64_t)bp;
        if (bp) at.bp = is_readable(&at, saved, end) ? ht_load(saved) : 0;
        at.pc = ht_load(cfa - 8);
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
    case HT_CFI_OFFSET: *ret = ht_load(cfa + (uint64_t)row->value[i]); return true;
    case HT_CFI_VAL_OFFSET: *ret = cfa + (uint64_t)row->value[i]; return true;
    case HT_CFI_REGISTER: *ret = (uint64_t)row->value[i] < HT_REG_COUNT ? r->r[row->value[i]] : 0; return true;
    case HT_CFI_EXPRESSION:
        if (!ht_cfi_evaluate((uint64_t)row->value[i], r, &cfa, true, &address)) return false;
        *ret = ht_load(address);
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
        s->flags |= HT_STACK_NO_CFI; // no guess here: the other registers would be guesses too
        return false;
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
