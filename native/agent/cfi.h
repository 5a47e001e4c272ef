// SPDX-License-Identifier: Apache-2.0
// cfi.h: reads call frame information (.eh_frame) in place. It gives the row of the unwind table for one pc: how to find
// the canonical frame address (CFA) and where each register of the caller is. Formats: DWARF 5, section 6.4, and the
// "Exception Frames" chapter of the Linux Standard Base. It allocates nothing and touches only the mapped tables.
#ifndef HEAPTIDE_CFI_H
#define HEAPTIDE_CFI_H

#include "../sys.h"

enum ht_cfi_where {
    HT_CFI_SAME,           // unchanged
    HT_CFI_UNDEFINED,      // for the return address: the outermost frame
    HT_CFI_OFFSET,         // saved at CFA + value
    HT_CFI_VAL_OFFSET,     // is CFA + value
    HT_CFI_REGISTER,       // is in register `value`
    HT_CFI_EXPRESSION,     // saved at the address that the expression at `value` gives
    HT_CFI_VAL_EXPRESSION, // is what the expression at `value` gives
};

struct ht_cfi_row {
    int64_t value[HT_REG_COUNT];
    uint8_t where[HT_REG_COUNT];
    bool cfa_is_expression;
    uint8_t cfa_register;
    int64_t cfa_offset; // or the address of the expression: ULEB length, then its bytes
};

struct ht_cfi_frame {
    struct ht_cfi_row row;
    bool signal_frame; // its caller was interrupted: that pc is no return address
};

enum ht_cfi_result { HT_CFI_FOUND, HT_CFI_NO_TABLE, HT_CFI_NO_ENTRY, HT_CFI_BAD };

enum { HT_CFI_REMEMBERED = 6 };
struct ht_cfi_scratch { // about 1.3 KiB: too much for a small signal stack, so the caller lends it
    struct ht_cfi_row initial, remembered[HT_CFI_REMEMBERED];
};

// `eh_frame_hdr` is the mapped PT_GNU_EH_FRAME segment of the object that holds `pc`; `pc` lies inside the instruction meant.
enum ht_cfi_result ht_cfi_find(const void *eh_frame_hdr, uint64_t pc, struct ht_cfi_scratch *scratch,
                               struct ht_cfi_frame *ret);

// Runs the DWARF expression at `where` (ULEB length first) with the frame's registers; `*initial` is pushed first unless NULL.
// Without `may_read` an expression that reads memory fails. False if it uses what unwinding never needs.
bool ht_cfi_evaluate(uint64_t where, const struct ht_registers *registers, const uint64_t *initial, bool may_read,
                     uint64_t *ret);

#endif
