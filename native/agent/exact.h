// SPDX-License-Identifier: Apache-2.0
// exact.h: exact mode's two operations, written out straight for the case that nearly always holds: glibc's allocator, a
// thread with a lane of its own, the counters' group and the map's leaf are there, the size fits the entry. Else they say so
// and record.c does it.
#ifndef HEAPTIDE_EXACT_H
#define HEAPTIDE_EXACT_H

#include "page_map.h"
#include "thread.h"

_Static_assert(sizeof(struct ht_counter) << HT_GROUP_SHIFT == HT_PAGE, "a run of exact counters is one page");

static inline struct ht_counter *ht_exact_counter(const struct ht_books *b, uint32_t page, unsigned buffer,
                                                  uint32_t id) {
    uint32_t slot = id & ((1u << HT_GROUP_SHIFT) - 1);
    return (struct ht_counter *)(b->pool + (page - 1ull + buffer) * HT_PAGE) + slot;
}

// The window of ht_operation_begin for a lane of one's own that is not inside one: `seq` is the lane's, even. The buffer to
// count in.
static inline unsigned ht_exact_begin(struct ht_books *b, struct ht_thread *t, uint64_t seq) {
    t->operation_sp = ht_sys_stack_pointer();
    __atomic_store_n(&t->lane->seq, seq + 1, __ATOMIC_RELAXED);
    ht_compiler_barrier(); // the recorder's membarrier orders this store before the load
    return (unsigned)(__atomic_load_n(&b->control->epoch, __ATOMIC_ACQUIRE) & 1) |
           (unsigned)__atomic_load_n(&ht_gate->phase, __ATOMIC_RELAXED);
}

static inline void ht_exact_end(struct ht_lane *lane, uint64_t seq) {
    __atomic_store_n(&lane->seq, seq + 2, __ATOMIC_RELEASE);
}

// May this thread use what follows, with these books? (ht_thread_join has found out.)
static inline bool ht_exact_ready(const struct ht_thread *t, const struct ht_books *b) {
    return ht_likely(t && t->fast == b);
}

// The first of the counters of `id`, one page before the next; NULL: the lane has none yet.
static inline struct ht_counter *ht_exact_counters(const struct ht_books *b, const struct ht_thread *t, uint32_t id) {
    uint32_t page = ht_lane_groups(t->lane)[id >> HT_GROUP_SHIFT];
    return ht_likely(page) ? ht_exact_counter(b, page, 0, id) : NULL;
}

// The counter will be wanted soon.
static inline void ht_exact_expect(const struct ht_books *b, const struct ht_counter *counters) {
    uint64_t buffer = __atomic_load_n(&b->control->epoch, __ATOMIC_RELAXED) & 1;
    __builtin_prefetch((const char *)counters + buffer * HT_PAGE, 1);
}

// Counts `block` under `id` and keeps it. False: nothing was done, or a live sample is due (sample_left).
static inline bool ht_exact_alloc(struct ht_books *b, struct ht_thread *t, const void *block, size_t size, uint32_t id,
                                  struct ht_counter *counters) {
    struct ht_lane *lane = t->lane;
    uint64_t seq = lane->seq, head = ht_sys_block_head(block);
    uint32_t *entry = ht_map_entry(block);
    size_t slack = ht_sys_head_usable(head) - size;
    if (ht_unlikely(!entry || !counters || *entry || (seq | head >> HT_SYS_HEAD_MAPPING_BIT) & 1 ||
                    slack >= HT_SLACK_ODD || (t->sample_left -= (int64_t)size + 1) < 0))
        return false; // an entry there still: its free went past us
    struct ht_counter *c = counters + ((uint64_t)ht_exact_begin(b, t, seq) << HT_GROUP_SHIFT);
    ht_add_local(&c->alloc_bytes, size);
    ht_add_local(&c->alloc_objects, 1);
    *entry = (uint32_t)slack << HT_MAP_ID_BITS | id;
    ht_add_local(&lane->total_alloc_bytes, size);
    ht_exact_end(lane, seq);
    return true;
}

// Counts the free of `block` and forgets it; its size in *ret_size. False: nothing was done.
static inline bool ht_exact_free(struct ht_books *b, struct ht_thread *t, const void *block, size_t *ret_size) {
    uint32_t *entry = ht_map_entry(block), value = entry ? *entry : 0, slack = value >> HT_MAP_ID_BITS;
    if (ht_unlikely(!value || slack == HT_SLACK_ODD)) return false;
    struct ht_lane *lane = t->lane;
    uint64_t seq = lane->seq, head = ht_sys_block_head(block);
    uint32_t id = value & HT_MAP_ID_MASK, page = ht_lane_groups(lane)[id >> HT_GROUP_SHIFT];
    if (ht_unlikely(!page || (seq | head >> HT_SYS_HEAD_MAPPING_BIT) & 1)) return false;
    size_t size = ht_sys_head_usable(head) - slack;
    struct ht_counter *c = ht_exact_counter(b, page, ht_exact_begin(b, t, seq), id);
    *entry = 0;
    ht_add_local(&c->free_bytes, size);
    ht_add_local(&c->free_objects, 1);
    ht_add_local(&lane->total_free_bytes, size);
    ht_exact_end(lane, seq);
    *ret_size = size;
    return true;
}

#endif
