// SPDX-License-Identifier: Apache-2.0
// unwind_check.c: holds every capture of the agent against libgcc's _Unwind_Backtrace, pc by pc.
//
// Linked with the agent's own sources, with unwind_check.h in front of them and -Wl,--wrap for the two functions wrapped
// below, into a library that is preloaded in the agent's place (bench/unwind_check.py does it). The file named by
// UNWIND_CHECK holds the counts (struct counts, made by the caller, large enough). It is mapped, so every process adds to
// the same ones and none has to end well. The first mismatches are written in full to that name with ".txt", with the
// memory map that explains them. With UNWIND_CHECK_WALK set, nothing is remembered: each capture is the walk that sampled
// mode makes. With UNWIND_CHECK_SPOIL set, the root of each 1000th stack is made wrong: does the comparison see it?
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include "unwind_check.h"

struct counts {        // mirrored by bench/unwind_check.py
    uint64_t captures; // compared: the sum of the next three
    uint64_t known;    // answered from the memo without a walk
    uint64_t remembered;
    uint64_t walked;
    uint64_t mismatches;
    uint64_t guessed;   // of `walked`: beyond the end of libgcc's stack; its part is compared
    uint64_t cut;       // deeper than HT_MAX_DEPTH; that much is compared
    uint64_t signalled; // through the frame of a signal
    uint64_t frames;    // compared, in all captures
};

struct stack {
    uint64_t pcs[HT_MAX_DEPTH];
    unsigned depth;
    uint16_t flags;
};

struct pair {
    uint64_t from; // where both begin
    struct stack ours, libgcc;
};

enum { MISMATCHES_SHOWN = 20, RING = 4 };

static struct counts *counts;
static bool walk_only, spoil;
// A comparison in a signal handler takes the pair after that of the one it interrupts; one that is left by longjmp keeps its
// pair until the ring comes round to it. Not in the TLS block, which small stacks hold as well.
static __thread struct pair *ring;
static __thread unsigned under_way;

static void *map(size_t bytes, int flags, int fd) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

// At the first capture, which is before any constructor of ours.
static bool counts_init(void) {
    if (counts) return true;
    const char *path = getenv("UNWIND_CHECK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return false;
    walk_only = getenv("UNWIND_CHECK_WALK") != NULL;
    spoil = getenv("UNWIND_CHECK_SPOIL") != NULL;
    counts = map(sizeof *counts, MAP_SHARED, fd);
    close(fd);
    return counts != NULL;
}

static struct pair *pair_begin(uint64_t from) {
    if (!ring) ring = map(RING * sizeof *ring, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (!ring || !counts_init()) return NULL;
    struct pair *p = &ring[under_way++ % RING];
    p->from = from;
    p->libgcc.depth = 0;
    return p;
}

static void pair_end(void) { under_way--; }

static void count(uint64_t *what, uint64_t n) { __atomic_fetch_add(what, n, __ATOMIC_RELAXED); }

// ---- Comparing --------------------------------------------------------------------------------------------------------------

static _Unwind_Reason_Code collect(struct _Unwind_Context *context, void *data) {
    const struct pair *p = data;
    struct stack *s = &((struct pair *)data)->libgcc;
    int interrupted = 0;
    uint64_t pc = _Unwind_GetIPInfo(context, &interrupted);
    if (!s->depth && pc != p->from) return _URC_NO_REASON; // our own frames
    if (s->depth == HT_MAX_DEPTH || pc < 4096) return _URC_END_OF_STACK;
    s->pcs[s->depth++] = pc + (interrupted != 0);
    return _URC_NO_REASON;
}

static void append_file(int to, const char *path) {
    char part[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && (n = read(fd, part, sizeof part)) > 0;)
        if (write(to, part, (size_t)n) != n) break;
    if (fd >= 0) close(fd);
}

static void show(const struct pair *p, const char *how) {
    char path[4096];
    const char *name = getenv("UNWIND_CHECK");
    if (!name || snprintf(path, sizeof path, "%s.txt", name) >= (int)sizeof path) return;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    const struct stack *a = &p->ours, *b = &p->libgcc;
    dprintf(fd, "mismatch (%s): ours %u frames (flags %u), libgcc %u\n", how, a->depth, a->flags, b->depth);
    for (unsigned i = 0; i < a->depth || i < b->depth; i++)
        dprintf(fd, "  %3u %16lx %16lx\n", i, i < a->depth ? (unsigned long)a->pcs[i] : 0,
                i < b->depth ? (unsigned long)b->pcs[i] : 0);
    append_file(fd, "/proc/self/maps");
    close(fd);
}

// Where we go on by a guess, libgcc, without a table, stops: what it has must be the same.
static bool agree(const struct pair *p) {
    const struct stack *a = &p->ours, *b = &p->libgcc;
    bool depth = a->flags & HT_STACK_GUESSED ? b->depth <= a->depth : b->depth == a->depth;
    return depth && !memcmp(a->pcs, b->pcs, b->depth * sizeof *b->pcs);
}

static void compare(struct pair *p, uint64_t *how, const char *name) {
    _Unwind_Backtrace(collect, p);
    uint64_t number = __atomic_add_fetch(&counts->captures, 1, __ATOMIC_RELAXED);
    if (spoil && number % 1000 == 0) p->ours.pcs[p->ours.depth - 1]++;
    count(how, 1);
    count(&counts->frames, p->libgcc.depth);
    if (p->ours.flags & HT_STACK_GUESSED) count(&counts->guessed, 1);
    if (p->ours.flags & HT_STACK_SIGNAL) count(&counts->signalled, 1);
    if (p->ours.depth == HT_MAX_DEPTH) count(&counts->cut, 1);
    if (!agree(p) && __atomic_add_fetch(&counts->mismatches, 1, __ATOMIC_RELAXED) <= MISMATCHES_SHOWN) show(p, name);
}

static void take_memo(struct stack *ret, const struct ht_memo *m) {
    uint32_t n = m->count;
    ret->flags = 0, ret->depth = n;
    for (uint32_t i = 0; i < n; i++) ret->pcs[i] = m->frame[n - 1 - i].pc;
}

// ---- What is wrapped --------------------------------------------------------------------------------------------------------

void __real_ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *scratch);
void __wrap_ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *s);
void __wrap_ht_unwind(const struct ht_caller *from, struct ht_unwind_scratch *s) {
    __real_ht_unwind(from, s);
    struct pair *p = pair_begin(from->pc);
    if (!p) return;
    p->ours.depth = s->depth, p->ours.flags = s->flags;
    memcpy(p->ours.pcs, s->pcs, s->depth * sizeof *s->pcs);
    compare(p, &counts->walked, "walked");
    pair_end();
}

bool __real_ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s);
bool __wrap_ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s);
bool __wrap_ht_memo_capture(struct ht_memo *m, const struct ht_caller *from, struct ht_unwind_scratch *s) {
    if (unwind_check_walks_only()) return ht_memo_forget(m), false;
    if (!__real_ht_memo_capture(m, from, s)) return false; // ht_unwind is next
    unwind_check_usual(m, from->pc);
    return true;
}

bool unwind_check_walks_only(void) { return counts_init() && walk_only; }

void unwind_check_usual(const struct ht_memo *m, uint64_t pc) {
    struct pair *p = pair_begin(pc);
    if (!p) return;
    take_memo(&p->ours, m);
    compare(p, &counts->remembered, "remembered");
    pair_end();
}

// A handler may have changed the memo since it answered: then there is nothing left to compare.
void unwind_check_known(const struct ht_memo *m, const struct ht_caller *from, uint32_t id) {
    struct pair *p = pair_begin(from->pc);
    if (!p) return;
    uint64_t changes = m->changes;
    ht_compiler_barrier();
    bool same = m->count && m->rest[m->count - 1].id == id && m->frame[m->count - 1].sp == from->sp;
    if (same) take_memo(&p->ours, m);
    ht_compiler_barrier();
    if (same && m->changes == changes) compare(p, &counts->known, "known");
    pair_end();
}
