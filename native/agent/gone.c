// SPDX-License-Identifier: Apache-2.0
#include "gone.h"

#include "live.h"
#include "record.h"
#include "stacks.h"

void ht_recorder_gone(struct ht_books *b) {
    if (ht_record_listen) return;
    struct ht_books *open = b;
    if (!__atomic_compare_exchange_n(&ht_gate->books, &open, NULL, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) return;
    ht_live_forget();
    ht_stacks_forget();
    ht_sys_remove(b->base + b->header->log_offset, b->header->total_bytes - b->header->log_offset);
}
