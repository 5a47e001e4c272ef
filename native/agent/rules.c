// SPDX-License-Identifier: Apache-2.0
#include "rules.h"

#include "modules.h"

struct ht_cached_rule *ht_rules;
// Counts in steps of an odd number, so that the upper bits, which the tags take, differ from one to the next.
static const uint64_t step = 0x1d8e4e27c47d124full;
uint64_t ht_rules_generation = 0x1d8e4e27c47d124full;

bool ht_unwind_init(void) {
    if (!ht_rules) ht_rules = ht_sys_map(sizeof(struct ht_cached_rule) << HT_RULES_BITS);
    return ht_rules != NULL;
}

void ht_unwind_flush(void) { __atomic_fetch_add(&ht_rules_generation, step, __ATOMIC_SEQ_CST); }

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

static rule_t make_rule(enum rule_kind kind, int64_t cfa, int64_t bp) {
    bool fits =
        !(cfa & 7) && !(bp & 7) && cfa / 8 >= -(1 << 23) && cfa / 8 < 1 << 23 && bp / 8 >= -2048 && bp / 8 < 2048;
    if (!fits) return RULE_COMPLEX;
    return (uint64_t)kind | ((uint64_t)(bp / 8) & 0xfff) << 4 | ((uint64_t)(cfa / 8) & 0xffffff) << 16;
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

HT_COLD rule_t ht_rules_find(uint64_t look, struct ht_unwind_scratch *s) {
    uint64_t h = ht_rules_hash(look), my_tag = ht_rules_tag(h); // before the look-up: a flush in between must win
    struct ht_module_lookup module;
    ht_modules_lookup(look, &module);
    rule_t rule = RULE_NO_CFI;
    if (module.eh_frame_hdr && ht_cfi_find(module.eh_frame_hdr, look, &s->cfi, &s->frame) == HT_CFI_FOUND)
        rule = compile(&s->frame, look + 1);
    rule |= my_tag;
    if (module.known) { // an address whose module could not be recorded is looked up again, so that it will be
        struct ht_cached_rule *c = &ht_rules[h >> (64 - HT_RULES_BITS)];
        __atomic_store_n(&c->rule, RULE_EMPTY, __ATOMIC_RELAXED);
        __atomic_store_n(&c->pc, look, __ATOMIC_RELEASE);
        __atomic_store_n(&c->rule, rule, __ATOMIC_RELEASE);
    }
    return rule;
}
