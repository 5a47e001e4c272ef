// SPDX-License-Identifier: Apache-2.0
#include "live_samples.h"

#include "real.h"
#include "sample.h"

// Slots that are free again are a list through their `size`, its head tagged against a slot that comes back in between.
// Nobody waits: a signal handler may be here inside itself.
static uint64_t free_head; // tag << 32 | slot from 1 on; 0: empty
static uint32_t never_used;
static uint64_t interval, drawn, thinned_at;
enum { THIN_STEP = 256 };  // slots at a time: some tens of microseconds
static uint32_t thin_next; // 0: nothing is being thinned
static bool is_libc;       // blocks have glibc's head in front

static struct ht_live_sample *slot_at(const struct ht_books *b, uint32_t slot) {
    return (struct ht_live_sample *)(b->base + b->header->samples_offset) + (slot - 1);
}

void ht_live_samples_init(void) {
    is_libc = ht_real_is_libc();
    free_head = 0;
    never_used = 0;
    interval = HT_INTERVAL_FIRST;
    drawn = thinned_at = 0;
    thin_next = 0;
}

// ---- Slots ----------------------------------------------------------------------------------------------------------------

static uint32_t pop(const struct ht_books *b) {
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE), rest;
    do {
        if (!(uint32_t)head) return 0;
        uint64_t next = __atomic_load_n(&slot_at(b, (uint32_t)head)->size, __ATOMIC_RELAXED);
        rest = ((head >> 32) + 1) << 32 | (uint32_t)next;
    } while (!__atomic_compare_exchange_n(&free_head, &head, rest, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return (uint32_t)head;
}

static void push(const struct ht_books *b, uint32_t slot) {
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_RELAXED), fresh;
    do {
        __atomic_store_n(&slot_at(b, slot)->size, (uint32_t)head, __ATOMIC_RELAXED);
        fresh = ((head >> 32) + 1) << 32 | slot;
    } while (!__atomic_compare_exchange_n(&free_head, &head, fresh, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static uint32_t take_fresh(struct ht_books *b) {
    enum { ROOM = 1024 }; // pages come for so many at a time
    uint32_t slots = b->header->sample_slots, used = __atomic_load_n(&never_used, __ATOMIC_RELAXED);
    do {
        uint64_t until = used / ROOM * ROOM + ROOM;
        if (used >= slots) return 0;
        if (!ht_books_present(b, &b->samples_present, b->header->samples_offset,
                              (until < slots ? until : slots) * sizeof(struct ht_live_sample)))
            return 0;
    } while (!__atomic_compare_exchange_n(&never_used, &used, used + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    uint64_t told = __atomic_load_n(&b->header->samples_used, __ATOMIC_RELAXED);
    while (told <= used && !__atomic_compare_exchange_n(&b->header->samples_used, &told, used + 1ull, false,
                                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
    }
    return used + 1;
}

// Once the ordinary shutdown begins they stay as they were, for the recorder to read: what survived until the end.
static bool is_kept_as_is(void) { return __atomic_load_n(&ht_gate->phase, __ATOMIC_RELAXED) != 0; }

// ---- Put and drop -----------------------------------------------------------------------------------------------------------

// What the allocator takes for a block, its own head included where that is known: glibc's is 8 bytes before a multiple of
// 16, and 16 before that of a page for a block with a mapping of its own.
static uint64_t footprint(const void *block) {
    if (!ht_real.malloc_usable_size || ht_is_bootstrap(block)) return 0;
    uint64_t usable = ht_real.malloc_usable_size((void *)(uintptr_t)block);
    return is_libc ? usable + ((usable & 15) == 8 ? 8 : 16) : usable;
}

uint32_t ht_live_samples_put(struct ht_books *b, const void *block, size_t size, const struct ht_block *what) {
    if (is_kept_as_is()) return 0;
    uint32_t slot = pop(b);
    if (!slot) slot = take_fresh(b);
    if (!slot) return 0;
    struct ht_live_sample *sample = slot_at(b, slot);
    uint64_t taken = footprint(block), more = taken > size ? taken - size : 0;
    sample->bytes = what->bytes;
    sample->variance = what->variance;
    sample->id = what->id;
    sample->born = (uint32_t)__atomic_load_n(&b->control->epoch, __ATOMIC_RELAXED);
    sample->rounding = more < UINT32_MAX ? (uint32_t)more : UINT32_MAX;
    __atomic_store_n(&sample->size, size, __ATOMIC_RELAXED);
    __atomic_store_n(&sample->address, (uint64_t)(uintptr_t)block, __ATOMIC_RELEASE);
    return slot;
}

void ht_live_samples_weigh(struct ht_books *b, const struct ht_block *what) {
    if (!what->slot || what->slot > b->header->sample_slots) return;
    slot_at(b, what->slot)->bytes = what->bytes;
    slot_at(b, what->slot)->variance = what->variance;
}

void ht_live_samples_drop(struct ht_books *b, uint32_t slot, uint64_t address) {
    if (!slot || slot > b->header->sample_slots || is_kept_as_is()) return;
    if (__atomic_compare_exchange_n(&slot_at(b, slot)->address, &address, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        push(b, slot);
}

// ---- Exact mode: how many to draw -----------------------------------------------------------------------------------------

uint64_t ht_live_samples_interval(void) { return __atomic_load_n(&interval, __ATOMIC_RELAXED); }

// Each is kept with the probability that it would have been drawn with at twice the mean interval, given that it was drawn.
static void thin(struct ht_books *b, uint32_t slot, uint64_t *random) {
    struct ht_live_sample *sample = slot_at(b, slot);
    uint64_t address = __atomic_load_n(&sample->address, __ATOMIC_ACQUIRE), size = sample->size;
    if (!address || !size || sample->bytes < size) return;
    double s = (double)size, p = s / (double)sample->bytes, wider = ht_sample_wider(p);
    if (ht_sample_draw(random) * p >= wider) {
        ht_live_samples_drop(b, slot, address);
        return;
    }
    sample->bytes = (uint64_t)(s / wider + 0.5);
    sample->variance = s * s * (1 - wider) / (wider * wider);
}

static HT_COLD void thin_some(struct ht_books *b, uint64_t *random) {
    uint32_t slots = b->header->sample_slots, first = __atomic_fetch_add(&thin_next, THIN_STEP, __ATOMIC_RELAXED);
    for (uint32_t slot = first; slot < first + THIN_STEP && slot <= slots; slot++) thin(b, slot, random);
    if (first + THIN_STEP > slots) __atomic_store_n(&thin_next, 0, __ATOMIC_RELAXED);
}

// Once in so many draws, for what is left may be such that no doubling thins it (large blocks, each of which is surely drawn).
static HT_COLD void begin_thinning(const struct ht_books *b) {
    uint64_t now = __atomic_load_n(&drawn, __ATOMIC_RELAXED), before = __atomic_load_n(&thinned_at, __ATOMIC_RELAXED);
    uint64_t doubled = ht_live_samples_interval() * 2;
    if (now < before + b->header->sample_slots / 4 || doubled > HT_INTERVAL_MOST) return;
    if (!__atomic_compare_exchange_n(&thinned_at, &before, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return;
    __atomic_store_n(&interval, doubled, __ATOMIC_RELAXED);
    __atomic_store_n(&thin_next, 1, __ATOMIC_RELAXED);
}

void ht_live_samples_drawn(struct ht_books *b, bool kept, uint64_t *random) {
    uint64_t now = ht_live_samples_interval();
    if (__atomic_add_fetch(&drawn, 1, __ATOMIC_RELAXED) % HT_SAMPLES_PER_INTERVAL == 0 && now < HT_INTERVAL_LAST)
        __atomic_store_n(&interval, now * 2, __ATOMIC_RELAXED);
    if (ht_unlikely(!kept)) begin_thinning(b);
    if (ht_unlikely(__atomic_load_n(&thin_next, __ATOMIC_RELAXED))) thin_some(b, random);
}
