// SPDX-License-Identifier: Apache-2.0
// unwind_check.c: holds every capture of the agent against libgcc's _Unwind_Backtrace, pc by pc.
//
// Linked with the agent's own sources, -Wl,--wrap=ht_unwind and -Wl,--wrap=ht_memo_capture, into a library that is preloaded in
// the agent's place (tests/integration/test_unwind.py does it).
// When the process ends it appends one line, "captures N mismatches M guessed G", to the file named by UNWIND_CHECK, and
// the first few mismatches in full.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "../agent/memo.h"
#include "../agent/unwind.h"

void __real_ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *scratch);

struct reference {
    uint64_t pcs[HT_MAX_DEPTH];
    unsigned depth;
    uint64_t from;
};

static uint64_t captures, mismatches, guessed;
enum { MISMATCHES_SHOWN = 20 };

static _Unwind_Reason_Code collect(struct _Unwind_Context *context, void *data) {
    struct reference *r = data;
    int interrupted = 0;
    uint64_t pc = _Unwind_GetIPInfo(context, &interrupted);
    if (!r->depth && pc != r->from) return _URC_NO_REASON; // our own frames
    if (r->depth == HT_MAX_DEPTH || pc < 4096) return _URC_END_OF_STACK;
    r->pcs[r->depth++] = pc + (interrupted != 0);
    return _URC_NO_REASON;
}

static void show(const struct reference *r, const struct ht_unwind_scratch *s) {
    char line[256];
    const char *path = getenv("UNWIND_CHECK");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    dprintf(fd, "mismatch: ours %u frames (flags %u), libgcc %u\n", s->depth, s->flags, r->depth);
    for (unsigned i = 0; i < s->depth || i < r->depth; i++) {
        int n = snprintf(line, sizeof line, "  %3u %16lx %16lx\n", i, i < s->depth ? (unsigned long)s->pcs[i] : 0,
                         i < r->depth ? (unsigned long)r->pcs[i] : 0);
        if (write(fd, line, (size_t)n) != n) break;
    }
    close(fd);
}

// What the memo holds, as a walk would have given it.
static void from_memo(const struct ht_memo *m, struct ht_unwind_scratch *ret) {
    ret->depth = m->count, ret->flags = 0;
    for (unsigned i = 0; i < m->count; i++) ret->pcs[i] = m->frame[m->count - 1 - i].pc;
}

static bool agree(const struct reference *r, const struct ht_unwind_scratch *s) {
    if (s->flags & HT_STACK_GUESSED) { // we go on where libgcc, without a table, stops
        __atomic_fetch_add(&guessed, 1, __ATOMIC_RELAXED);
        return r->depth <= s->depth && !memcmp(r->pcs, s->pcs, r->depth * sizeof *r->pcs);
    }
    return r->depth == s->depth && !memcmp(r->pcs, s->pcs, r->depth * sizeof *r->pcs);
}

static void compare(const struct ht_caller *from, const struct ht_unwind_scratch *s) {
    static __thread struct reference r;
    r.depth = 0;
    r.from = from->pc;
    _Unwind_Backtrace(collect, &r);
    __atomic_fetch_add(&captures, 1, __ATOMIC_RELAXED);
    if (agree(&r, s)) return;
    if (__atomic_add_fetch(&mismatches, 1, __ATOMIC_RELAXED) <= MISMATCHES_SHOWN) show(&r, s);
}

void __wrap_ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *s);
void __wrap_ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *s) {
    __real_ht_unwind(from, s);
    compare(from, s);
}

bool __real_ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s);
bool __wrap_ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s);
bool __wrap_ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s) {
    if (!__real_ht_memo_capture(m, from, s)) return false;
    from_memo(m, s);
    compare(from, s);
    return true;
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("UNWIND_CHECK");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    dprintf(fd, "captures %lu mismatches %lu guessed %lu\n", (unsigned long)captures, (unsigned long)mismatches,
            (unsigned long)guessed);
    close(fd);
}
