// SPDX-License-Identifier: Apache-2.0
// agent/books.h: the agent's side of the shared memory: making it, handing it over, adding to it.
#ifndef HEAPTIDE_AGENT_BOOKS_H
#define HEAPTIDE_AGENT_BOOKS_H

#include "../books.h"
#include "../sys.h"

// Everything that one recording needs. It is replaced as a whole in a fork child.
struct ht_books {
    struct ht_control *control; // the recorder's page; ours when there is no recorder
    char *pool;
    enum ht_mode mode;
    bool starts_disarmed;
    uint32_t slot_shift;
    uint64_t pages_per_run;
    struct ht_books_header *header;
    char *base;
    uint64_t bytes; // from base on
    uint32_t lane_count;
    uint32_t max_ids;
    int fd;               // the memfd until it is handed over; -1 for private books
    uint64_t log_present; // bytes of the log whose pages are there: all, once it has gone round
    uint64_t own_present, regions_present, samples_present; // the same of the tables
};

// The gate: one private page that a fork child reads as zeros, loaded by each operation. books is NULL while nothing is
// recorded. phase: 0, or 2 once the program's ordinary shutdown has begun (books.h).
struct ht_gate {
    struct ht_books *books;
    uint64_t phase;
};
extern struct ht_gate *ht_gate;

static inline struct ht_books *ht_books_now(void) { return __atomic_load_n(&ht_gate->books, __ATOMIC_ACQUIRE); }

// Are allocations recorded now? Frees of recorded blocks always are.
static inline bool ht_books_armed(const struct ht_books *b) {
    uint64_t word = __atomic_load_n(&b->control->armed, __ATOMIC_RELAXED);
    return ht_likely(word == HT_AS_STARTED) ? !b->starts_disarmed : word == HT_ARMED;
}

static inline bool ht_books_armed_as_started(const struct ht_books *b) {
    return ht_likely(__atomic_load_n(&b->control->armed, __ATOMIC_RELAXED) == HT_AS_STARTED);
}

struct ht_books_plan {
    enum ht_mode mode;
    uint32_t flags;    // enum ht_header_flag
    uint64_t interval; // sampled: the first mean interval
    bool shared;       // a memfd to hand over; else private memory
    int32_t parent_pid;
};

bool ht_gate_init(void);
// Lays out new books. NULL when no memory can be had, at any size.
struct ht_books *ht_books_create(const struct ht_books_plan *plan);
void ht_books_destroy(struct ht_books *b);
// In a fork child, which does not inherit the memory: an operation that a signal handler's fork has interrupted still writes
// there when the handler returns. Now into nothing.
void ht_books_stand_in(const struct ht_books *b);
// Registers with the recorder; closes the descriptors. 0 or a negative errno.
long ht_books_hand_over(struct ht_books *b, const char *address);

// ---- Counters ---------------------------------------------------------------------------------------------------------

static inline struct ht_lane *ht_books_lane(const struct ht_books *b, uint32_t lane) {
    return (struct ht_lane *)(b->base + b->header->lanes_offset + (uint64_t)lane * b->header->lane_stride);
}

static inline uint32_t *ht_lane_groups(struct ht_lane *lane) { return (uint32_t *)(lane + 1); }

// The counter of `id` in `buffer`; its group must exist.
static inline void *ht_books_counter(const struct ht_books *b, struct ht_lane *lane, unsigned buffer, uint32_t id) {
    uint64_t page = (uint64_t)ht_lane_groups(lane)[id >> HT_GROUP_SHIFT] - 1 + buffer * b->pages_per_run;
    uint32_t slot = id & ((1u << HT_GROUP_SHIFT) - 1);
    return b->pool + page * HT_PAGE + ((uint64_t)slot << b->slot_shift);
}

// Makes sure that `lane` has counters for `id`; gives the id to count under: `id`, or HT_ID_POOL_FULL.
uint32_t ht_books_ensure(struct ht_books *b, struct ht_lane *lane, uint32_t id);

// Takes a lane for this thread: one of its own (> 0), or 0, which is shared.
uint32_t ht_books_take_lane(struct ht_books *b, uint64_t tid);
void ht_books_return_lane(struct ht_books *b, uint32_t lane);

// mlockall makes present and locks all that is mapped, and exact mode's pool is a gibibyte of which little is ever used. What
// is not given out yet is taken (others find the pool full meanwhile, and come again) and put out of the kernel's reach.
uint64_t ht_books_hide_pool(struct ht_books *b); // what to give back
void ht_books_show_pool(struct ht_books *b, uint64_t hidden);

// main returned or exit was called: from now on buffers 2 and 3.
void ht_books_mark_shutdown(struct ht_books *b);

static inline void ht_books_lose(struct ht_books *b, enum ht_loss what, uint64_t n) {
    __atomic_fetch_add(&b->header->losses[what], n, __ATOMIC_RELAXED);
}

enum { HT_OWN_SLOTS = 2048 };
// Makes the first `bytes` of a table of the books present; *present says how far it is. False: no memory.
bool ht_books_present(struct ht_books *b, uint64_t *present, uint64_t offset, uint64_t bytes);

void ht_memory_used(enum ht_memory_kind kind, int64_t bytes); // the agent's own memory, for the header

// ---- The log ------------------------------------------------------------------------------------------------------------

// Room for an entry of `bytes` (header included; rounded up to 16). NULL: the log is full, or there is none.
struct ht_log_entry *ht_log_reserve(struct ht_books *b, uint64_t bytes, uint64_t *ret_position);
struct ht_thread;
// The thread left the entry that it had reserved: the recorder is to pass over it.
void ht_log_left(struct ht_books *b, struct ht_thread *t);
// Makes the entry, whose type, flags and id are set, visible to the recorder.
void ht_log_publish(struct ht_log_entry *entry, uint64_t position);

#endif
