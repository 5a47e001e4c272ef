// SPDX-License-Identifier: Apache-2.0
// rules.h: how to get from one frame to its caller, in 64 bits, found once per pc and then kept in a cache. Shared by the walks
// of unwind.c and memo.c.
#ifndef HEAPTIDE_RULES_H
#define HEAPTIDE_RULES_H

#include "unwind.h"

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

enum { HT_RULES_BITS = 16 };
struct ht_cached_rule {
    uint64_t pc;
    rule_t rule;
};
extern struct ht_cached_rule *ht_rules __attribute__((visibility("hidden")));
extern uint64_t ht_rules_generation __attribute__((visibility("hidden"))); // changes when code may have been unmapped

static inline uint64_t ht_rules_hash(uint64_t pc) { return pc * 0x9e3779b97f4a7c15ull; }
// What the rule of a pc with this hash has above its lower 40 bits, in this generation.
static inline uint64_t ht_rules_tag(uint64_t h) {
    return (h << 8 ^ __atomic_load_n(&ht_rules_generation, __ATOMIC_RELAXED)) & ~0xffffffffffull;
}

HT_COLD rule_t ht_rules_find(uint64_t look, struct ht_unwind_scratch *s);

// Is there a rule for `look`, which lies inside the instruction meant: a return address less one, or an interrupted pc?
static inline bool ht_rules_have(uint64_t look, rule_t *ret) {
    uint64_t h = ht_rules_hash(look);
    struct ht_cached_rule *c = &ht_rules[h >> (64 - HT_RULES_BITS)];
    *ret = __atomic_load_n(&c->rule, __ATOMIC_ACQUIRE);
    return ht_likely(__atomic_load_n(&c->pc, __ATOMIC_RELAXED) == look && *ret >> 40 << 40 == ht_rules_tag(h));
}

static inline rule_t rule_for(uint64_t look, struct ht_unwind_scratch *s) {
    rule_t rule;
    return ht_rules_have(look, &rule) ? rule : ht_rules_find(look, s);
}

static inline uint64_t ht_load(uint64_t address) { return *(const uint64_t *)(uintptr_t)address; }

#endif
