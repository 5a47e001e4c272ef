// SPDX-License-Identifier: Apache-2.0
// unwind_check.h: included in front of each of the agent's sources (-include) when it is built for unwind_check.c: what the
// memo answers in line, without a call that could be wrapped, is checked as well.
#ifndef HEAPTIDE_UNWIND_CHECK_H
#define HEAPTIDE_UNWIND_CHECK_H

#define _GNU_SOURCE // as some of the sources say in their first line
#include "../agent/memo.h"

void unwind_check_known(const struct ht_memo *m, const struct ht_caller *from, uint32_t id);

static inline uint32_t ht_memo_known_and_checked(const struct ht_memo *m, uint64_t pc, uint64_t sp, uint64_t bp) {
    uint32_t id = ht_memo_known(m, pc, sp, bp);
    struct ht_caller from = {pc, sp, bp};
    if (id) unwind_check_known(m, &from, id);
    return id;
}
#define ht_memo_known ht_memo_known_and_checked

bool unwind_check_walks_only(void);
void unwind_check_usual(const struct ht_memo *m, uint64_t pc);

static inline bool ht_memo_capture_usual_and_checked(struct ht_memo *m, uint64_t pc, uint64_t sp, uint64_t bp) {
    if (unwind_check_walks_only() || !ht_memo_capture_usual(m, pc, sp, bp)) return false;
    unwind_check_usual(m, pc);
    return true;
}
#define ht_memo_capture_usual ht_memo_capture_usual_and_checked

#endif
