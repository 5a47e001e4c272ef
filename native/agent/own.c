// SPDX-License-Identifier: Apache-2.0
#include "own.h"

// Mappings of ours are few (a leaf for each 64 MiB of heap in exact mode, one for each thread): what goes beyond the slots is
// taken for the allocator's, no worse. Written without a lock: each slot has one writer at a time, who reserved it.
static struct ht_range own[HT_OWN_SLOTS];
static uint32_t own_used;

static void tell_slot(struct ht_books *b, uint32_t slot) {
    struct ht_range *told = (struct ht_range *)(b->base + b->header->own_offset) + slot;
    if (!ht_books_present(b, &b->own_present, b->header->own_offset, (slot + 1) * sizeof *told)) return;
    told->end = own[slot].end;
    __atomic_store_n(&told->start, own[slot].start, __ATOMIC_RELEASE);
    uint64_t used = __atomic_load_n(&b->header->own_used, __ATOMIC_RELAXED);
    while (used <= slot && !__atomic_compare_exchange_n(&b->header->own_used, &used, slot + 1, false, __ATOMIC_RELEASE,
                                                        __ATOMIC_RELAXED)) {
    }
}

static uint32_t used_slots(void) {
    uint32_t used = __atomic_load_n(&own_used, __ATOMIC_RELAXED);
    return used < HT_OWN_SLOTS ? used : HT_OWN_SLOTS;
}

// The slot of the mapping that begins at `start`, or one that is free (and then reserved by it).
static struct ht_range *slot_for(uint64_t start) {
    for (uint32_t i = 0; i < used_slots(); i++) {
        uint64_t nobody = 0;
        if (__atomic_compare_exchange_n(&own[i].start, &nobody, start, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return &own[i];
    }
    uint32_t slot = __atomic_fetch_add(&own_used, 1, __ATOMIC_RELAXED);
    if (slot >= HT_OWN_SLOTS) {
        __atomic_fetch_sub(&own_used, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    __atomic_store_n(&own[slot].start, start, __ATOMIC_RELEASE);
    return &own[slot];
}

static HT_COLD void note(const void *memory, size_t bytes, bool mapped) {
    uint64_t start = (uint64_t)(uintptr_t)memory;
    struct ht_range *slot = NULL;
    if (mapped) {
        slot = slot_for(start);
        if (!slot) return;
        slot->end = start + bytes;
    }
    for (uint32_t i = 0; !mapped && !slot && i < used_slots(); i++)
        if (__atomic_load_n(&own[i].start, __ATOMIC_RELAXED) == start) slot = &own[i];
    if (!slot) return;
    if (!mapped) __atomic_store_n(&slot->start, 0, __ATOMIC_RELEASE);
    struct ht_books *b = ht_books_now();
    if (b) tell_slot(b, (uint32_t)(slot - own));
}

void ht_own_begin(void) { ht_sys_on_map = note; }

void ht_own_tell(struct ht_books *b) {
    for (uint32_t i = 0; i < used_slots(); i++) tell_slot(b, i);
}
