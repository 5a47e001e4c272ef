// SPDX-License-Identifier: Apache-2.0
// unwind_check.h: included in front of each of the agent's sources (-include) when it is built for unwind_check.c: what the
// memo answers in line, without a call that could be wrapped, is checked as well.
#ifndef HEAPTIDE_UNWIND_CHECK_H
#define HEAPTIDE_UNWIND_CHECK_H

#define _GNU_SOURCE // as some of the sources say in their first line
#include "../agent/memo.h"

void unwind_check_known(const struct ht_memo *m, const struct ht_caller *from, uint32_t id);

static inline uint32_t ht_memo_known_and_checked(const struct ht_memo *m, const struct ht_caller *from) {
    uint32_t id = ht_memo_known(m, from);
    if (id) unwind_check_known(m, from, id);
    return id;
}
#define ht_memo_known ht_memo_known_and_checked

#endif
