// SPDX-License-Identifier: Apache-2.0
#include "mapping.h"

#include <string.h>

#include "record.h"
#include "stacks.h"
#include "turn.h"

bool ht_mapping_on;

// ---- The regions: a sorted array, without overlaps --------------------------------------------------------------------
//
// Programs map rarely, and the kernel holds a lock of the whole address space while they do; ours is held for less. A thread
// that does not get it within a bounded number of turns (a signal handler may have interrupted its holder) lets its mapping
// go unrecorded, and that is counted.
enum { TURNS = 20000, ROOM = 512 }; // pages of the array come for so many regions at a time
static struct ht_books *books;
static struct ht_range *regions; // in the books, where the recorder reads them
static uint32_t region_count;
static ht_turn busy;

// The thread that has the lock is this one. Either it was interrupted there, and we are in the handler; or a handler left it there
// by longjmp: then the lock is ours, and the array may be half moved. One region may be there twice, or torn: what is no
// region in its place is dropped, and one may be lost.
static HT_NOINLINE bool take_over(void) {
    struct ht_caller here = HT_CALLER();
    if (!ht_tls.thread || !ht_stacks_was_left(ht_tls.thread, &here)) return false;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < region_count; i++) {
        struct ht_range r = regions[i];
        if (r.start < r.end && r.id && r.start >= (kept ? regions[kept - 1].end : 0)) regions[kept++] = r;
    }
    region_count = kept;
    ht_books_lose(books, HT_LOSS_MAPPING, 1);
    return true;
}

static bool try_lock(void) {
    for (int i = 0; i < TURNS; i++) {
        if (ht_turn_take(&busy)) {
            __atomic_fetch_add(&books->header->regions_seq, 1, __ATOMIC_SEQ_CST);
            return true;
        }
        if (ht_turn_is_mine(&busy)) return take_over(); // the sequence is odd since the one who left
        ht_cpu_relax();
    }
    return false;
}

static void unlock(void) {
    __atomic_store_n(&books->header->regions_used, region_count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&books->header->regions_seq, 1, __ATOMIC_RELEASE);
    ht_turn_end(&busy);
}

static bool make_room(uint32_t slots) {
    uint32_t most = books->header->region_slots;
    uint64_t wanted = (slots + ROOM - 1) / ROOM * ROOM;
    return slots <= most && ht_books_present(books, &books->regions_present, books->header->regions_offset,
                                             (wanted < most ? wanted : most) * sizeof *regions);
}

bool ht_mapping_init(struct ht_books *b) {
    books = b;
    regions = (struct ht_range *)(b->base + b->header->regions_offset);
    region_count = 0;
    busy = 0;
    return make_room(ROOM);
}

static uint32_t first_ending_after(uint64_t address) {
    uint32_t low = 0, high = region_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (regions[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool insert(uint32_t at, const struct ht_range *piece) {
    if (!make_room(region_count + 1)) return false;
    memmove(&regions[at + 1], &regions[at], (region_count - at) * sizeof *regions);
    regions[at] = *piece;
    region_count++;
    return true;
}

static void erase(uint32_t at) {
    region_count--;
    memmove(&regions[at], &regions[at + 1], (region_count - at) * sizeof *regions);
}

// Cuts [start, end) out of the region at `at`, which overlaps it. What is taken away goes to *ret; what stays keeps the object.
static void cut_one(uint32_t at, uint64_t start, uint64_t end, struct ht_range *ret) {
    struct ht_range *r = &regions[at];
    *ret = (struct ht_range){.start = r->start > start ? r->start : start,
                             .end = r->end < end ? r->end : end,
                             .id = r->id,
                             .is_object = false};
    struct ht_range after = {ret->end, r->end, r->id, false};
    bool before_stays = r->start < ret->start, after_stays = after.start < after.end;
    if (before_stays) {
        r->end = ret->start;
        if (after_stays) insert(at + 1, &after);
    } else if (after_stays) {
        r->start = after.start;
    } else {
        ret->is_object = r->is_object;
        erase(at);
    }
}

static void cut(uint64_t start, uint64_t end, struct ht_mapping_taken *ret) {
    while (ret->count < HT_MAPPING_PIECES) {
        uint32_t at = first_ending_after(start);
        if (at == region_count || regions[at].start >= end) return;
        cut_one(at, start, end, &ret->piece[ret->count++]);
    }
}

// ---- Counting ---------------------------------------------------------------------------------------------------------

static void count(const struct ht_range *piece, bool allocated) {
    struct ht_books *b = ht_books_now();
    if (b) ht_record_mapping(b, piece->id, piece->end - piece->start, piece->is_object, allocated);
}

void ht_mapping_taken_is_free(const struct ht_mapping_taken *taken) {
    for (unsigned i = 0; i < taken->count; i++) count(&taken->piece[i], false);
}

static bool add_region(const struct ht_range *piece) {
    if (!try_lock()) return false;
    bool added = insert(first_ending_after(piece->start), piece);
    unlock();
    return added;
}

void ht_mapping_put_back(const struct ht_mapping_taken *taken) {
    for (unsigned i = 0; i < taken->count; i++)
        if (!add_region(&taken->piece[i])) count(&taken->piece[i], false);
}

void ht_mapping_take(uint64_t start, uint64_t bytes, struct ht_mapping_taken *ret) {
    struct ht_books *b = ht_books_now();
    ret->count = 0;
    if (!b) return;
    if (!try_lock()) return ht_books_lose(b, HT_LOSS_MAPPING, 1);
    cut(start, start + bytes, ret);
    unlock();
}

void ht_mapping_added(uint64_t start, uint64_t bytes, const struct ht_caller *caller) {
    struct ht_books *b = ht_books_now();
    if (!b) return;
    for (struct ht_mapping_taken replaced = {.count = 1}; replaced.count;) { // MAP_FIXED over something recorded
        ht_mapping_take(start, bytes, &replaced);
        ht_mapping_taken_is_free(&replaced);
    }
    struct ht_range piece = {start, start + bytes, 0, true};
    piece.id = ht_stacks_capture_mapping(b, ht_thread_now(b), caller);
    if (piece.id >= HT_FIRST_STACK_ID && add_region(&piece))
        count(&piece, true);
    else
        ht_books_lose(b, HT_LOSS_MAPPING, 1);
}
