// SPDX-License-Identifier: Apache-2.0
#include "stacks.h"

#include <string.h>

#include "gone.h"
#include "modules.h"
#include "thin.h"
#include "turn.h"

// ---- The table ------------------------------------------------------------------------------------------------------------
//
// Levels of growing size, the newest asked first. A stack found in an older level is copied to the newest, so what is in use
// moves up and nothing is ever rehashed under a lock. An entry is claimed by its first hash and valid once `known` is set.
struct entry {
    uint64_t hash;
    uint64_t known; // second hash's upper half << 32 | id
};

enum { FIRST_BITS = 12, LEVEL_GROWS_BITS = 2, LEVELS = 6, PROBES = 16 };
struct level {
    struct entry *entries;
    uint64_t mask;
    uint64_t used;
};
static struct level levels[LEVELS];
static uint32_t level_count;
static struct level *newest;
static ht_turn adding_level, new_chunk_busy; // for the latter see take_room

static bool add_level(void) {
    if (level_count == LEVELS || !ht_turn_take(&adding_level)) return false;
    if (level_count == LEVELS) { // another thread was faster
        ht_turn_end(&adding_level);
        return false;
    }
    struct level *l = &levels[level_count];
    uint64_t size = 1ull << (FIRST_BITS + LEVEL_GROWS_BITS * level_count);
    l->entries = ht_sys_map(size * sizeof(struct entry));
    l->mask = size - 1;
    l->used = 0;
    if (l->entries) {
        ht_memory_used(HT_MEMORY_STACKS, (int64_t)(size * sizeof(struct entry)));
        __atomic_store_n(&newest, l, __ATOMIC_RELEASE);
        __atomic_store_n(&level_count, level_count + 1, __ATOMIC_RELEASE);
    }
    ht_turn_end(&adding_level);
    return l->entries != NULL;
}

void ht_stacks_forget(void) {
    for (uint32_t i = 0; i < level_count; i++) {
        ht_sys_discard(levels[i].entries, (levels[i].mask + 1) * sizeof(struct entry));
        levels[i].used = 0;
    }
}

// Emptied, not unmapped: another thread may still be in an operation of the recording before.
bool ht_stacks_init(void) {
    adding_level = 0, new_chunk_busy = 0; // a fork may have copied them taken
    ht_stacks_forget();
    return level_count || add_level();
}

// Where the search for a stack begins: its hash's upper bits are the good ones.
static inline struct entry *entry_of(const struct level *l, struct ht_stack_hash h, uint64_t probe) {
    return &l->entries[((h.a >> 40) + probe) & l->mask];
}

static uint32_t find_in(const struct level *l, struct ht_stack_hash h) {
    for (uint64_t i = 0; i < PROBES; i++) {
        const struct entry *e = entry_of(l, h, i);
        uint64_t hash = __atomic_load_n(&e->hash, __ATOMIC_ACQUIRE);
        if (!hash) return 0;
        if (hash != h.a) continue;
        uint64_t known = __atomic_load_n(&e->known, __ATOMIC_ACQUIRE);
        if (known >> 32 == h.b >> 32 && (uint32_t)known) return (uint32_t)known;
    }
    return 0;
}

// Enters the id; another thread may have been faster with the same stack: its id is the one to use.
static uint32_t enter(struct ht_stack_hash h, uint32_t id) {
    struct level *l = &levels[__atomic_load_n(&level_count, __ATOMIC_ACQUIRE) - 1];
    if (l->used > l->mask / 2 && add_level()) l++;
    for (uint64_t i = 0; i < PROBES; i++) {
        struct entry *e = entry_of(l, h, i);
        uint64_t nobody = 0;
        if (__atomic_compare_exchange_n(&e->hash, &nobody, h.a, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            __atomic_store_n(&e->known, (h.b >> 32) << 32 | id, __ATOMIC_RELEASE);
            __atomic_fetch_add(&l->used, 1, __ATOMIC_RELAXED);
            return id;
        }
        uint64_t known = __atomic_load_n(&e->known, __ATOMIC_ACQUIRE);
        if (nobody == h.a && known >> 32 == h.b >> 32 && (uint32_t)known) return (uint32_t)known;
    }
    add_level(); // a crowded spot: next time in a larger table; this id is simply not found again
    return id;
}

static HT_NOINLINE uint32_t find(struct ht_stack_hash h) {
    uint32_t n = __atomic_load_n(&level_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = n; i-- > 0;) {
        uint32_t id = find_in(&levels[i], h);
        if (!id) continue;
        if (i + 1 < n) enter(h, id);
        return id;
    }
    return 0;
}

// The usual case: the stack is where it should be in the newest level.
static inline uint32_t find_at_once(struct ht_stack_hash h) {
    const struct entry *e = entry_of(__atomic_load_n(&newest, __ATOMIC_ACQUIRE), h, 0);
    if (ht_unlikely(__atomic_load_n(&e->hash, __ATOMIC_ACQUIRE) != h.a)) return 0;
    uint64_t known = __atomic_load_n(&e->known, __ATOMIC_ACQUIRE);
    return known >> 32 == h.b >> 32 ? (uint32_t)known : 0;
}

// An entry that is all zero is free, so no hash is zero.
static struct ht_stack_hash not_zero(struct ht_stack_hash h) {
    h.a += !h.a;
    return h;
}

// The same as the memo's, and the flags that make two stacks of equal addresses different.
static struct ht_stack_hash hash_of(const struct ht_unwind_scratch *s) {
    struct ht_stack_hash h = ht_stack_hash_begin(ht_modules_salt());
    for (unsigned i = s->depth; i-- > 0;) h = ht_stack_hash_add(h, ht_modules_meaning(s->pcs[i]));
    h.b += (uint64_t)s->flags << 48;
    return not_zero(h);
}

// ---- Stacks kept in memory ----------------------------------------------------------------------------------------------

enum { KEEP_CHUNK = 1 << 20, KEEP_IDS = 1 << 20 };
static struct ht_kept_stack **kept;
static char *chunk;
static uint64_t chunk_used; // a place in `chunk`, taken by adding

void ht_stacks_keep(void) {
    if (!kept) kept = ht_sys_map(KEEP_IDS * sizeof *kept);
}

const struct ht_kept_stack *ht_stacks_kept(uint32_t id) {
    return kept && id < KEEP_IDS ? __atomic_load_n(&kept[id], __ATOMIC_ACQUIRE) : NULL;
}

static void *take_room(uint64_t bytes) {
    for (;;) {
        char *now = __atomic_load_n(&chunk, __ATOMIC_ACQUIRE);
        uint64_t at = now ? __atomic_fetch_add(&chunk_used, bytes, __ATOMIC_ACQ_REL) : KEEP_CHUNK;
        if (now && at + bytes <= KEEP_CHUNK && now == __atomic_load_n(&chunk, __ATOMIC_ACQUIRE)) return now + at;
        if (!ht_turn_take(&new_chunk_busy)) return NULL;
        char *fresh = ht_sys_map(KEEP_CHUNK);
        if (fresh) {
            __atomic_store_n(&chunk_used, KEEP_CHUNK, __ATOMIC_RELEASE); // nobody takes from either in between
            __atomic_store_n(&chunk, fresh, __ATOMIC_RELEASE);
            __atomic_store_n(&chunk_used, 0, __ATOMIC_RELEASE);
            ht_memory_used(HT_MEMORY_STACKS, KEEP_CHUNK);
        }
        ht_turn_end(&new_chunk_busy);
        if (!fresh) return NULL;
    }
}

static bool keep(const struct ht_unwind_scratch *s, uint32_t id) {
    if (id >= KEEP_IDS) return false;
    struct ht_kept_stack *k = take_room(sizeof *k + s->depth * sizeof(uint64_t));
    if (!k) return false;
    k->depth = s->depth;
    k->flags = s->flags;
    memcpy(k->pcs, s->pcs, s->depth * sizeof(uint64_t));
    __atomic_store_n(&kept[id], k, __ATOMIC_RELEASE);
    return true;
}

// ---- New stacks ---------------------------------------------------------------------------------------------------------

static uint32_t next_id(struct ht_books *b) {
    uint64_t id = __atomic_fetch_add(&b->header->next_id, 1, __ATOMIC_RELAXED);
    return id < b->max_ids ? (uint32_t)id : 0;
}

static uint32_t lose(struct ht_books *b, enum ht_loss what, uint32_t id) {
    ht_books_lose(b, what, 1);
    return id;
}

// The id comes only after there is room for its entry: an id without a stack would be a number without a name.
static HT_COLD uint32_t add_stack(struct ht_books *b, const struct ht_unwind_scratch *s) {
    if (__atomic_load_n(&b->header->next_id, __ATOMIC_RELAXED) >= b->max_ids)
        return lose(b, HT_LOSS_TABLE_FULL, HT_ID_TABLE_FULL);
    uint64_t position, bytes = sizeof(struct ht_log_stack) + s->depth * sizeof(uint64_t);
    struct ht_log_stack *entry = NULL;
    if (b->header->log_size && !(entry = (struct ht_log_stack *)ht_log_reserve(b, bytes, &position)))
        return lose(b, HT_LOSS_LOG_FULL, HT_ID_LOG_FULL);
    uint32_t id = next_id(b);
    if (entry) {
        entry->entry.type = id ? HT_LOG_STACK : HT_LOG_PAD;
        entry->entry.flags = s->flags;
        entry->entry.id = id;
        entry->depth = s->depth;
        entry->reserved = 0;
        memcpy(entry->pcs, s->pcs, s->depth * sizeof(uint64_t));
        ht_log_publish(&entry->entry, position);
    }
    if (!id) return lose(b, HT_LOSS_TABLE_FULL, HT_ID_TABLE_FULL);
    if (kept && !keep(s, id)) return lose(b, HT_LOSS_NO_MEMORY, HT_ID_LOG_FULL);
    if (s->flags & HT_STACK_TRUNCATED) ht_books_lose(b, HT_LOSS_DEPTH, 1);
    if (s->guesses) ht_books_lose(b, HT_LOSS_UNWIND_GUESS, s->guesses);
    return id;
}

static uint32_t find_or_add(struct ht_books *b, struct ht_stack_hash h, const struct ht_unwind_scratch *s) {
    uint32_t id = add_stack(b, s);
    return id >= HT_FIRST_STACK_ID ? enter(h, id) : id;
}

static HT_COLD uint32_t capture_by_walk(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller,
                                        uint16_t flags) {
    ht_unwind(caller, &t->scratch);
    t->scratch.flags |= flags;
    struct ht_stack_hash h = hash_of(&t->scratch);
    uint32_t id = find(h);
    return id ? id : find_or_add(b, h, &t->scratch);
}

static HT_COLD uint32_t add_from_memo(struct ht_books *b, struct ht_thread *t, struct ht_stack_hash h) {
    const struct ht_memo *m = &t->memo;
    struct ht_unwind_scratch *s = &t->scratch;
    s->depth = m->count, s->flags = 0, s->guesses = 0;
    for (uint32_t i = 0; i < m->count; i++) s->pcs[i] = m->frame[m->count - 1 - i].pc;
    return find_or_add(b, h, s);
}

static HT_NOINLINE uint32_t find_or_add_from_memo(struct ht_books *b, struct ht_thread *t, struct ht_stack_hash h) {
    uint32_t id = find(not_zero(h));
    return id ? id : add_from_memo(b, t, not_zero(h));
}

// The id of the stack that the memo holds.
static inline uint32_t id_of_memo(struct ht_books *b, struct ht_thread *t) {
    struct ht_memo *m = &t->memo;
    const struct ht_memo_rest *leaf = &m->rest[m->count - 1];
    struct ht_stack_hash h = {leaf->hash[0], leaf->hash[1]};
    uint32_t id = leaf->id;
    if (!id) id = find_at_once(h);
    if (ht_unlikely(!id)) id = find_or_add_from_memo(b, t, h);
    if (ht_likely(id >= HT_FIRST_STACK_ID)) ht_memo_name(m, id); // a folded one is tried again
    return id;
}

static HT_NOINLINE uint32_t capture_by_memo(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller) {
    if (ht_unlikely(!ht_memo_capture(&t->memo, caller, &t->scratch))) return capture_by_walk(b, t, caller, 0);
    if (ht_unlikely(!t->memo.count)) return lose(b, HT_LOSS_NO_MEMORY, HT_ID_NO_STACK);
    return id_of_memo(b, t);
}

typedef uint32_t capture_function(struct ht_books *, struct ht_thread *, const struct ht_caller *);

static uint32_t capture_block(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller) {
    return b->mode == HT_MODE_EXACT ? capture_by_memo(b, t, caller) : capture_by_walk(b, t, caller, 0);
}

static uint32_t capture_mapping(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller) {
    return capture_by_walk(b, t, caller, HT_STACK_MMAP);
}

// A capture of this thread has not ended: either a signal handler, which we are in, has interrupted it, or one has left it by
// longjmp. Stack pointers cannot tell, for handlers may have a stack of their own, above or below. Our own stack can: it
// passes through the interrupted frame, or it is whole without one.
HT_COLD bool ht_stacks_was_left(struct ht_thread *t, const struct ht_caller *caller) {
    enum { PATIENCE = 1000 }; // this, too, may have been interrupted or left
    if (t->judging && t->judging++ < PATIENCE) return false;
    t->judging = 1;
    ht_compiler_barrier();
    ht_unwind(caller, &t->judge);
    bool left = !(t->judge.flags & (HT_STACK_SIGNAL | HT_STACK_NO_CFI | HT_STACK_TRUNCATED));
    ht_compiler_barrier();
    t->judging = 0;
    return left;
}

// What the thread had in hand when it left: nobody else would ever put it down.
static HT_COLD void put_down(struct ht_thread *t) {
    ht_memo_forget(&t->memo);
    ht_modules_left();
    ht_thin_left();
    ht_turn_left(&adding_level);
    ht_turn_left(&new_chunk_busy);
}

// One capture at a time in a thread: the scratch and the memo are its own.
static inline uint32_t guarded(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller,
                               capture_function *capture) {
    if (ht_unlikely(!t)) return lose(b, HT_LOSS_NO_MEMORY, HT_ID_NO_STACK);
    ht_ask_for_recorder(b);
    if (ht_unlikely(t->capturing)) {
        if (!ht_stacks_was_left(t, caller)) return lose(b, HT_LOSS_NESTED, HT_ID_NESTED);
        put_down(t);
    }
    if (ht_unlikely(ht_has_left_room(t->reserved))) ht_log_left(b, t); // no capture is under way: it was left
    t->capturing = true;
    ht_compiler_barrier();
    uint32_t id = capture(b, t, caller);
    ht_compiler_barrier();
    t->capturing = false;
    return id;
}

uint32_t ht_stacks_capture(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller) {
    return guarded(b, t, caller, capture_block);
}

// Where code keeps frame pointers the usual capture never succeeds: it is tried now and then only.
static inline bool is_worth_a_try(const struct ht_memo *m) {
    enum { IN_A_ROW = 4, EACH = 64 };
    return ht_likely(m->unusual < IN_A_ROW) || m->unusual % EACH == 0;
}

uint32_t ht_stacks_capture_changed(struct ht_books *b, struct ht_thread *t, uint64_t pc, uint64_t sp, uint64_t bp) {
    ht_ask_for_recorder(b);
    if (ht_unlikely(ht_has_left_room(t->reserved))) ht_log_left(b, t);
    t->capturing = true;
    ht_compiler_barrier();
    uint32_t id;
    if (ht_likely(is_worth_a_try(&t->memo) && ht_memo_capture_usual(&t->memo, pc, sp, bp))) {
        t->memo.unusual = 0;
        id = id_of_memo(b, t);
    } else {
        t->memo.unusual++;
        id = capture_by_memo(b, t, &(struct ht_caller){pc, sp, bp});
    }
    ht_compiler_barrier();
    t->capturing = false;
    return id;
}

uint32_t ht_stacks_capture_mapping(struct ht_books *b, struct ht_thread *t, const struct ht_caller *caller) {
    return guarded(b, t, caller, capture_mapping);
}
