// SPDX-License-Identifier: Apache-2.0
#include "cfi.h"

#include <string.h>

enum { // pointer encodings
    PE_OMIT = 0xff,
    PE_FORMAT = 0x0f,
    PE_BASE = 0x70,
    PE_INDIRECT = 0x80,
    PE_PCREL = 0x10,
    PE_DATAREL = 0x30,
    PE_TABLE_USUAL = 0x3b, // sdata4 relative to the header
};

#define LOAD(type, p)                                                                                                  \
    ({                                                                                                                 \
        type value_;                                                                                                   \
        memcpy(&value_, (p), sizeof value_);                                                                           \
        value_;                                                                                                        \
    })

// The bits of a LEB128 number; how many in *ret_bits.
static uint64_t leb(const uint8_t **p, unsigned *ret_bits) {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = *(*p)++;
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    *ret_bits = shift;
    return value;
}

static uint64_t uleb(const uint8_t **p) {
    unsigned bits;
    return leb(p, &bits);
}

static int64_t sleb(const uint8_t **p) {
    unsigned bits;
    uint64_t value = leb(p, &bits);
    if (bits < 64 && value >> (bits - 1) & 1) value |= ~0ull << bits;
    return (int64_t)value;
}

// One encoded pointer; `data` is the base of data-relative ones. False for encodings that .eh_frame does not use.
static bool encoded(const uint8_t **p, uint8_t encoding, uint64_t data, uint64_t *ret) {
    const uint8_t *at = *p;
    uint64_t value;
    switch (encoding & PE_FORMAT) {
    case 0x00:
    case 0x04:
    case 0x0c: value = LOAD(uint64_t, at), *p += 8; break;
    case 0x01: value = uleb(p); break;
    case 0x02: value = LOAD(uint16_t, at), *p += 2; break;
    case 0x03: value = LOAD(uint32_t, at), *p += 4; break;
    case 0x09: value = (uint64_t)sleb(p); break;
    case 0x0a: value = (uint64_t)(int64_t)LOAD(int16_t, at), *p += 2; break;
    case 0x0b: value = (uint64_t)(int64_t)LOAD(int32_t, at), *p += 4; break;
    default: return false;
    }
    switch (encoding & PE_BASE) {
    case 0: break;
    case PE_PCREL: value += (uint64_t)(uintptr_t)at; break;
    case PE_DATAREL: value += data; break;
    default: return false;
    }
    if (encoding & PE_INDIRECT) value = LOAD(uint64_t, (const void *)(uintptr_t)value);
    *ret = value;
    return true;
}

// ---- Finding the entry ------------------------------------------------------------------------------------------------

// The frame description entry whose range may hold `pc`, by the header's sorted table. NULL: none.
static const uint8_t *search_table(const uint8_t *header, uint64_t pc, enum ht_cfi_result *result) {
    *result = HT_CFI_NO_TABLE;
    if (header[0] != 1 || header[2] == PE_OMIT || header[3] != PE_TABLE_USUAL) return NULL;
    const uint8_t *p = header + 4;
    uint64_t base = (uint64_t)(uintptr_t)header, unused, count;
    if (!encoded(&p, header[1], base, &unused) || !encoded(&p, header[2], base, &count) || !count) return NULL;
    *result = HT_CFI_NO_ENTRY;
    int64_t wanted = (int64_t)(pc - base);
    uint64_t low = 0, high = count; // invariant: table[low].start <= wanted < table[high].start
    if (LOAD(int32_t, p) > wanted) return NULL;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (LOAD(int32_t, p + 8 * middle) <= wanted)
            low = middle;
        else
            high = middle;
    }
    return header + LOAD(int32_t, p + 8 * low + 4);
}

struct cie {
    uint64_t code_align;
    int64_t data_align;
    uint8_t fde_encoding;
    bool has_augmentation_data, signal_frame;
    const uint8_t *program, *end;
};

static bool read_length(const uint8_t **p, const uint8_t **ret_end) {
    uint64_t length = LOAD(uint32_t, *p);
    *p += 4;
    if (length == 0xffffffff) {
        length = LOAD(uint64_t, *p);
        *p += 8;
    }
    *ret_end = *p + length;
    return length > 0;
}

static bool read_augmentation(const uint8_t *text, const uint8_t **p, struct cie *c) {
    if (*text != 'z') return *text == 0;
    uint64_t unused, length = uleb(p);
    const uint8_t *end = *p + length;
    for (text++; *text; text++) switch (*text) {
        case 'R': c->fde_encoding = *(*p)++; break;
        case 'L': (*p)++; break;
        case 'P': {
            uint8_t encoding = *(*p)++;
            if (!encoded(p, encoding & ~PE_INDIRECT, 0, &unused)) return false;
            break;
        }
        case 'S': c->signal_frame = true; break;
        default: break; // nobody's business here; its data, if any, ends where the length says
        }
    *p = end;
    c->has_augmentation_data = true;
    return true;
}

static bool read_cie(const uint8_t *p, struct cie *ret) {
    *ret = (struct cie){0};
    if (!read_length(&p, &ret->end)) return false;
    if (LOAD(uint32_t, p) != 0) return false; // a CIE has id 0 in .eh_frame
    p += 4;
    uint8_t version = *p++;
    if (version != 1 && version != 3) return false;
    const uint8_t *augmentation = p;
    p += strlen((const char *)p) + 1;
    ret->code_align = uleb(&p);
    ret->data_align = sleb(&p);
    uint64_t return_register = version == 1 ? *p++ : uleb(&p);
    if (return_register != HT_REG_PC || !read_augmentation(augmentation, &p, ret)) return false;
    ret->program = p;
    return true;
}

// ---- Running the row program ------------------------------------------------------------------------------------------

struct machine {
    struct ht_cfi_row *row;
    struct ht_cfi_scratch *scratch;
    const struct cie *cie;
    unsigned depth;     // remembered rows
    uint64_t at, until; // rows up to the one that holds `until`
};

static void set(struct machine *m, uint64_t reg, uint8_t where, int64_t value) {
    if (reg >= HT_REG_COUNT) return; // vector registers: nobody asks for them
    m->row->where[reg] = where;
    m->row->value[reg] = value;
}

static void set_block(struct machine *m, const uint8_t **p, uint64_t reg, uint8_t where) {
    set(m, reg, where, (int64_t)(uintptr_t)*p);
    uint64_t length = uleb(p);
    *p += length;
}

static void restore(struct machine *m, uint64_t reg) {
    if (reg < HT_REG_COUNT) set(m, reg, m->scratch->initial.where[reg], m->scratch->initial.value[reg]);
}

static void set_cfa(struct machine *m, uint64_t reg, int64_t offset) {
    m->row->cfa_is_expression = false;
    m->row->cfa_register = (uint8_t)(reg < HT_REG_COUNT ? reg : HT_REG_COUNT);
    m->row->cfa_offset = offset;
}

// One instruction with the opcode in its low six bits. False: not understood.
static bool step_extended(struct machine *m, uint8_t op, const uint8_t **p) {
    struct ht_cfi_row *row = m->row;
    int64_t scale = m->cie->data_align;
    uint64_t reg, target;
    switch (op) {
    case 0x00: return true; // nop
    case 0x01:              // set_loc
        if (!encoded(p, m->cie->fde_encoding, 0, &target)) return false;
        m->at = target;
        return true;
    case 0x02: m->at += *(*p)++ * m->cie->code_align; return true;
    case 0x03: m->at += LOAD(uint16_t, *p) * m->cie->code_align, *p += 2; return true;
    case 0x04: m->at += LOAD(uint32_t, *p) * m->cie->code_align, *p += 4; return true;
    case 0x05: reg = uleb(p), set(m, reg, HT_CFI_OFFSET, (int64_t)uleb(p) * scale); return true;
    case 0x06: restore(m, uleb(p)); return true;
    case 0x07: set(m, uleb(p), HT_CFI_UNDEFINED, 0); return true;
    case 0x08: set(m, uleb(p), HT_CFI_SAME, 0); return true;
    case 0x09: reg = uleb(p), set(m, reg, HT_CFI_REGISTER, (int64_t)uleb(p)); return true;
    case 0x0a:
        if (m->depth == HT_CFI_REMEMBERED) return false;
        m->scratch->remembered[m->depth++] = *row;
        return true;
    case 0x0b:
        if (!m->depth) return false;
        *row = m->scratch->remembered[--m->depth];
        return true;
    case 0x0c: reg = uleb(p), set_cfa(m, reg, (int64_t)uleb(p)); return true;
    case 0x0d: row->cfa_register = (uint8_t)uleb(p), row->cfa_is_expression = false; return true;
    case 0x0e: row->cfa_offset = (int64_t)uleb(p); return true;
    case 0x0f:
        row->cfa_is_expression = true, row->cfa_offset = (int64_t)(uintptr_t)*p;
        reg = uleb(p), *p += reg;
        return true;
    case 0x10: reg = uleb(p), set_block(m, p, reg, HT_CFI_EXPRESSION); return true;
    case 0x11: reg = uleb(p), set(m, reg, HT_CFI_OFFSET, sleb(p) * scale); return true;
    case 0x12: reg = uleb(p), set_cfa(m, reg, sleb(p) * scale); return true;
    case 0x13: row->cfa_offset = sleb(p) * scale; return true;
    case 0x14: reg = uleb(p), set(m, reg, HT_CFI_VAL_OFFSET, (int64_t)uleb(p) * scale); return true;
    case 0x15: reg = uleb(p), set(m, reg, HT_CFI_VAL_OFFSET, sleb(p) * scale); return true;
    case 0x16: reg = uleb(p), set_block(m, p, reg, HT_CFI_VAL_EXPRESSION); return true;
    case 0x2e: uleb(p); return true; // GNU_args_size
    case 0x2f: reg = uleb(p), set(m, reg, HT_CFI_OFFSET, -(int64_t)uleb(p) * scale); return true;
    default: return false;
    }
}

static bool run(struct machine *m, const uint8_t *p, const uint8_t *end) {
    while (p < end) {
        uint8_t op = *p++, low = op & 0x3f;
        switch (op >> 6) {
        case 1: m->at += low * m->cie->code_align; break;
        case 2: set(m, low, HT_CFI_OFFSET, (int64_t)uleb(&p) * m->cie->data_align); break;
        case 3: restore(m, low); break;
        default:
            if (!step_extended(m, low, &p)) return false;
        }
        if (m->at > m->until) return true; // the rows from here on are for later instructions
    }
    return true;
}

enum ht_cfi_result ht_cfi_find(const void *eh_frame_hdr, uint64_t pc, struct ht_cfi_scratch *scratch,
                               struct ht_cfi_frame *ret) {
    enum ht_cfi_result result;
    const uint8_t *p = search_table(eh_frame_hdr, pc, &result), *end;
    if (!p) return result;
    if (!read_length(&p, &end)) return HT_CFI_BAD;
    struct cie cie;
    if (!read_cie(p - LOAD(uint32_t, p), &cie)) return HT_CFI_BAD;
    p += 4;
    uint64_t start, range;
    if (!encoded(&p, cie.fde_encoding, 0, &start) || !encoded(&p, cie.fde_encoding & PE_FORMAT, 0, &range))
        return HT_CFI_BAD;
    if (pc < start || pc - start >= range) return HT_CFI_NO_ENTRY;
    if (cie.has_augmentation_data) {
        uint64_t length = uleb(&p);
        p += length;
    }
    memset(&ret->row, 0, sizeof ret->row); // all HT_CFI_SAME
    struct machine m = {.row = &ret->row, .scratch = scratch, .cie = &cie, .at = start, .until = pc};
    scratch->initial = ret->row;
    if (!run(&m, cie.program, cie.end)) return HT_CFI_BAD;
    scratch->initial = ret->row;
    m.at = start;
    if (!run(&m, p, end)) return HT_CFI_BAD;
    ret->signal_frame = cie.signal_frame;
    return HT_CFI_FOUND;
}

// ---- Expressions ------------------------------------------------------------------------------------------------------

enum { EXPRESSION_STACK = 16, OP_DEREF = 0x06 };

struct stack {
    uint64_t v[EXPRESSION_STACK];
    unsigned n;
};

static bool push(struct stack *s, uint64_t value) {
    if (s->n == EXPRESSION_STACK) return false;
    s->v[s->n++] = value;
    return true;
}

static bool arithmetic(struct stack *s, uint8_t op) {
    if (s->n < 2) return false;
    uint64_t b = s->v[--s->n], *a = &s->v[s->n - 1];
    int64_t sa = (int64_t)*a, sb = (int64_t)b;
    switch (op) {
    case 0x1a: *a &= b; return true;
    case 0x1c: *a -= b; return true;
    case 0x1e: *a *= b; return true;
    case 0x21: *a |= b; return true;
    case 0x22: *a += b; return true;
    case 0x24: *a = b < 64 ? *a << b : 0; return true;
    case 0x25: *a = b < 64 ? *a >> b : 0; return true;
    case 0x27: *a ^= b; return true;
    case 0x29: *a = sa == sb; return true;
    case 0x2a: *a = sa >= sb; return true;
    case 0x2b: *a = sa > sb; return true;
    case 0x2c: *a = sa <= sb; return true;
    case 0x2d: *a = sa < sb; return true;
    case 0x2e: *a = sa != sb; return true;
    default: return false;
    }
}

// Constants; *ret_known says whether `op` was one.
static uint64_t constant(uint8_t op, const uint8_t **p, bool *ret_known) {
    const uint8_t *at = *p;
    *ret_known = true;
    if (op >= 0x30 && op <= 0x4f) return op - 0x30u; // lit0..lit31
    switch (op) {
    case 0x08: return *p += 1, LOAD(uint8_t, at);
    case 0x09: return *p += 1, (uint64_t)(int64_t)LOAD(int8_t, at);
    case 0x0a: return *p += 2, LOAD(uint16_t, at);
    case 0x0b: return *p += 2, (uint64_t)(int64_t)LOAD(int16_t, at);
    case 0x0c: return *p += 4, LOAD(uint32_t, at);
    case 0x0d: return *p += 4, (uint64_t)(int64_t)LOAD(int32_t, at);
    case 0x03:
    case 0x0e:
    case 0x0f: return *p += 8, LOAD(uint64_t, at);
    case 0x10: return uleb(p);
    case 0x11: return (uint64_t)sleb(p);
    default: return *ret_known = false, 0;
    }
}

static bool operate(struct stack *s, uint8_t op, const uint8_t **p, const struct ht_registers *registers) {
    bool known;
    uint64_t value = constant(op, p, &known);
    if (known) return push(s, value);
    if (op >= 0x70 && op <= 0x8f) { // breg0..breg31
        unsigned reg = op - 0x70u;
        int64_t offset = sleb(p);
        return reg < HT_REG_COUNT && push(s, registers->r[reg] + (uint64_t)offset);
    }
    switch (op) {
    case OP_DEREF:
        if (!s->n) return false;
        s->v[s->n - 1] = LOAD(uint64_t, (const void *)(uintptr_t)s->v[s->n - 1]);
        return true;
    case 0x12: return s->n && push(s, s->v[s->n - 1]); // dup
    case 0x13: return s->n && s->n--;                  // drop
    case 0x23:                                         // plus_uconst
        if (!s->n) return false;
        s->v[s->n - 1] += uleb(p);
        return true;
    default: return arithmetic(s, op);
    }
}

bool ht_cfi_evaluate(uint64_t where, const struct ht_registers *registers, const uint64_t *initial, bool may_read,
                     uint64_t *ret) {
    const uint8_t *p = (const uint8_t *)(uintptr_t)where;
    uint64_t length = uleb(&p);
    const uint8_t *end = p + length;
    struct stack s = {.n = 0};
    if (initial) push(&s, *initial);
    while (p < end) {
        uint8_t op = *p++;
        if (op == OP_DEREF && !may_read) return false;
        if (!operate(&s, op, &p, registers)) return false;
    }
    if (!s.n) return false;
    *ret = s.v[s.n - 1];
    return true;
}
