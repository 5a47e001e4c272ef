// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "cut.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { // linux/membarrier.h is missing on old systems
    MEMBARRIER_GLOBAL = 1 << 0,
    MEMBARRIER_GLOBAL_EXPEDITED = 1 << 1,
};

bool cut_init(struct cut *cut, const struct books *books) {
    *cut = (struct cut){.epoch = load_relaxed(&books->control->epoch)};
    cut->seen = calloc(books->lane_count, sizeof *cut->seen);
    cut->left = calloc(books->lane_count, sizeof *cut->left);
    return cut->seen && cut->left;
}

void cut_deinit(struct cut *cut) {
    free(cut->seen);
    free(cut->left);
    *cut = (struct cut){0};
}

// Every running thread of the program passes a full barrier. The expedited form (14 us) reaches processes that registered
// for it; the plain one reaches all and waits for the scheduler (milliseconds). Without either, time must do: no store
// stays in a store buffer for as long as this sleeps.
static void fence_program(const struct books *books) {
    bool registered = books->flags & HT_FLAG_MEMBARRIER; // set in the constructor, before the books were handed over
    if (registered && syscall(SYS_membarrier, MEMBARRIER_GLOBAL_EXPEDITED, 0, 0) == 0) return;
    if (syscall(SYS_membarrier, MEMBARRIER_GLOBAL, 0, 0) == 0) return;
    sleep_ns(20 * NS_PER_MS);
}

void cut_begin(struct cut *cut, const struct books *books, uint16_t kind) {
    cut->kind = kind;
    cut->late = false;
    cut->pending = true;
    cut->marked = load_acquire(&books_live(books)->shutdown_mark_ns) != 0;
    cut->in_use = lanes_in_use(books);
    cut->at = moment_now();
    store_release(&books->control->epoch, ++cut->epoch);
    fence_program(books);
    // Lanes handed out from here on are used under the new epoch only.
    cut->lanes = books_lanes_used(books);
    for (uint32_t i = 1; i < cut->lanes; i++) {
        uint64_t seq = load_acquire(&books_lane(books, i)->seq);
        cut->seen[i] = seq == cut->left[i] ? 0 : seq;
    }
}

bool cut_poll(struct cut *cut, const struct books *books) {
    if (cut->lanes && load_acquire(&books_lane(books, 0)->inside[cut_buffer(cut)]) != 0) return false;
    for (uint32_t i = 1; i < cut->lanes; i++) {
        if (!(cut->seen[i] & 1)) continue;
        if (load_acquire(&books_lane(books, i)->seq) == cut->seen[i]) return false;
        cut->seen[i] = 0; // over; do not look again
    }
    cut->pending = false;
    return true;
}

bool cut_wait(struct cut *cut, const struct books *books) {
    uint64_t slept = 0;
    for (uint64_t nap = 20000; !cut_poll(cut, books); nap = min_u64(nap * 2, 2 * NS_PER_MS)) {
        if (slept >= CUT_PATIENCE_NS) {
            cut->late = true;
            return false;
        }
        sleep_ns(nap);
        slept += nap;
    }
    return true;
}

void cut_abandon(struct cut *cut, const struct books *books, bool (*is_left)(void *data, uint64_t tid), void *data) {
    for (uint32_t i = 1; i < cut->lanes; i++) {
        if (!(cut->seen[i] & 1) || !is_left(data, load_relaxed(&books_lane(books, i)->owner_tid))) continue;
        cut->left[i] = cut->seen[i];
        cut->seen[i] = 0;
    }
}

uint64_t lanes_in_use(const struct books *books) {
    uint64_t in_use = 0;
    for (uint32_t i = 0, n = books_lanes_used(books); i < n; i++) {
        const struct ht_lane *lane = books_lane(books, i);
        in_use += load_relaxed(&lane->total_alloc_bytes) - load_relaxed(&lane->total_free_bytes);
    }
    return (int64_t)in_use < 0 ? 0 : in_use; // lanes are read one after the other: frees may be ahead
}

bool lanes_inside(const struct books *books) {
    for (uint32_t i = 0, n = books_lanes_used(books); i < n; i++) {
        const struct ht_lane *lane = books_lane(books, i);
        if (i == 0 ? load_relaxed(&lane->inside[0]) || load_relaxed(&lane->inside[1]) : load_relaxed(&lane->seq) & 1)
            return true;
    }
    return false;
}
