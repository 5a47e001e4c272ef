// SPDX-License-Identifier: Apache-2.0
#include "live.h"

#include <string.h>

#include "books.h"
#include "page_map.h"
#include "thin.h"

uint8_t ht_filter[1 << HT_FILTER_BITS];
uint64_t ht_filter_factor = HT_FILTER_FACTOR;
size_t ht_live_least_request;
static bool exact;

// ---- Exact: the page map (page_map.h) -------------------------------------------------------------------------------

struct ht_page_map ht_page_map;
static struct ht_table odd;
enum { LEAVES_NOTED = 4096 };
static uint32_t leaf_noted[LEAVES_NOTED], leaf_count; // so that a fork child need not search the root

static uint64_t leaf_bytes(void) { return ((1ull << HT_LEAF_BITS) >> ht_page_map.shift) * (ht_page_map.wide ? 8 : 4); }

// Leaves may reserve as much as the machine has: of that only what is written becomes memory, an eighth of the heap. Where
// addresses are limited, an eighth of them. Beyond, blocks are counted and not tracked.
static uint64_t leaf_limit;

static void limit_leaves(uint64_t told) {
    uint64_t bytes = told ? told : ht_sys_memory(), addresses = ht_sys_address_limit() / 8;
    leaf_limit = (bytes < addresses ? bytes : addresses) / leaf_bytes();
}

static HT_COLD void *add_leaf(uint64_t index) {
    if (__atomic_load_n(&leaf_count, __ATOMIC_RELAXED) >= leaf_limit) return NULL;
    void *leaf = ht_sys_map(leaf_bytes()), *nobody = NULL;
    if (!leaf) return NULL;
    if (__atomic_compare_exchange_n(&ht_page_map.root[index], &nobody, leaf, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        uint32_t n = __atomic_fetch_add(&leaf_count, 1, __ATOMIC_RELAXED);
        if (n < LEAVES_NOTED) leaf_noted[n] = (uint32_t)index;
        ht_memory_used(HT_MEMORY_LIVE, (int64_t)leaf_bytes());
        return leaf;
    }
    ht_sys_unmap(leaf, leaf_bytes());
    return nobody;
}

static void *leaf_of(uint64_t address, bool add) {
    uint64_t index = address >> HT_LEAF_BITS;
    if (index >> HT_ROOT_BITS) return NULL;
    void *leaf = __atomic_load_n(&ht_page_map.root[index], __ATOMIC_ACQUIRE);
    return leaf || !add ? leaf : add_leaf(index);
}

static uint64_t entry_index(uint64_t address) { return (address & ((1ull << HT_LEAF_BITS) - 1)) >> ht_page_map.shift; }

static size_t usable(uint64_t address) { return ht_map_usable((const void *)(uintptr_t)address); }

static bool put_odd(uint32_t *entry, uint64_t address, const struct ht_block *what) {
    if (!ht_table_put(&odd, address, what)) return false;
    *entry = (uint32_t)HT_SLACK_ODD << HT_MAP_ID_BITS | what->id;
    return true;
}

static bool put_wide(uint64_t *entry, uint64_t address, const struct ht_block *what) {
    bool fits = what->bytes >> (63 - HT_MAP_ID_BITS) == 0;
    if (!fits || (what->slot && !ht_table_put(&odd, address, what))) return false;
    *entry = (what->slot ? HT_MAP_WIDE_ODD : 0) | what->bytes << HT_MAP_ID_BITS | what->id;
    return true;
}

static bool map_put(uint64_t address, const struct ht_block *what) {
    void *leaf = leaf_of(address, true);
    if (!leaf || what->id > HT_MAP_ID_MASK) return false;
    if (ht_page_map.wide) return put_wide((uint64_t *)leaf + entry_index(address), address, what);
    uint32_t *entry = (uint32_t *)leaf + entry_index(address);
    size_t slack = usable(address) - what->bytes;
    if (slack >= HT_SLACK_ODD || what->slot) return put_odd(entry, address, what);
    *entry = (uint32_t)slack << HT_MAP_ID_BITS | what->id;
    return true;
}

static struct ht_block exact_block(uint64_t bytes, uint64_t id) {
    return (struct ht_block){.bytes = bytes, .objects = 1, .id = (uint32_t)id & HT_MAP_ID_MASK};
}

static enum ht_taken map_take(uint64_t address, struct ht_block *ret) {
    void *leaf = leaf_of(address, false);
    if (!leaf) return HT_TAKEN_NOTHING;
    if (ht_page_map.wide) {
        uint64_t *wide = (uint64_t *)leaf + entry_index(address), entry = *wide;
        *wide = 0;
        if (entry & HT_MAP_WIDE_ODD) return ht_table_take(&odd, address, ret);
        *ret = exact_block(entry >> HT_MAP_ID_BITS, entry);
        return entry ? HT_TAKEN : HT_TAKEN_NOTHING;
    }
    uint32_t *narrow = (uint32_t *)leaf + entry_index(address), entry = *narrow, slack = entry >> HT_MAP_ID_BITS;
    if (!entry) return HT_TAKEN_NOTHING;
    *narrow = 0;
    if (slack == HT_SLACK_ODD) return ht_table_take(&odd, address, ret);
    *ret = exact_block(usable(address) - slack, entry);
    return HT_TAKEN;
}

static void empty_leaves(void) {
    for (uint32_t i = 0; i < leaf_count && i < LEAVES_NOTED; i++) {
        void *leaf = ht_page_map.root[leaf_noted[i]];
        if (leaf) ht_sys_discard(leaf, leaf_bytes());
    }
}

// Is what we believe of the allocator's block heads true here? Small, large and mapped blocks must agree.
static bool sizes_are_in_heads(void) {
    static const size_t sizes[] = {1, 24, 25, 40, 1000, 5000, 100000, 1 << 20};
    bool agree = true;
    for (unsigned i = 0; agree && i < sizeof sizes / sizeof *sizes; i++) {
        void *block = ht_real.malloc(sizes[i]);
        agree = block && ht_sys_usable_size(block) == ht_real.malloc_usable_size(block);
        ht_real.free(block);
    }
    return agree;
}

static bool map_init(uint64_t map_limit) {
    if (ht_page_map.root) { // a fork child, or another recording: the blocks so far are not its own
        empty_leaves();
        ht_table_empty(&odd);
        return true;
    }
    ht_page_map.wide = !ht_real_is_libc() || !ht_real.malloc_usable_size;
    ht_page_map.shift = ht_page_map.wide ? 4 : 5;
    ht_page_map.size_in_head = !ht_page_map.wide && sizes_are_in_heads();
    limit_leaves(map_limit);
    ht_live_least_request = ht_page_map.wide ? 9 : 0; // 8-byte classes lie 8 bytes apart
    ht_page_map.root = ht_sys_map(sizeof(void *) << HT_ROOT_BITS);
    return ht_page_map.root && ht_table_init(&odd, 17);
}

// ---- Sampled: a table ---------------------------------------------------------------------------------------------------

enum { FILTER_FULL = 255 };
struct ht_table ht_live_samples;
uint64_t ht_live_sample_count;

static void filter_add(uint8_t *count, int change) {
    uint8_t old = __atomic_load_n(count, __ATOMIC_RELAXED);
    while (old != FILTER_FULL && !__atomic_compare_exchange_n(count, &old, (uint8_t)(old + change), true,
                                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

void ht_live_sample_gone(uint64_t address) {
    __atomic_fetch_sub(&ht_live_sample_count, 1, __ATOMIC_RELAXED);
    filter_add(ht_filter_of((const void *)(uintptr_t)address), -1);
}

static bool sample_put(uint64_t address, const struct ht_block *what) {
    if (!ht_table_put(&ht_live_samples, address, what)) return false;
    __atomic_fetch_add(&ht_live_sample_count, 1, __ATOMIC_RELAXED);
    filter_add(ht_filter_of((const void *)(uintptr_t)address), 1);
    return true;
}

static enum ht_taken sample_take(uint64_t address, struct ht_block *ret) {
    enum ht_taken taken = ht_table_take(&ht_live_samples, address, ret);
    if (taken == HT_TAKEN) ht_live_sample_gone(address);
    return taken;
}

// ---- Either -----------------------------------------------------------------------------------------------------------

static bool is_armed; // exact: the filter sends each free by us

void ht_live_arm(void) {
    if (!exact || __atomic_exchange_n(&is_armed, true, __ATOMIC_RELAXED)) return;
    ht_filter[0] = FILTER_FULL;
    __atomic_store_n(&ht_filter_factor, 0, __ATOMIC_RELEASE);
}

bool ht_live_init(enum ht_mode mode, bool armed, uint64_t map_limit) {
    exact = mode == HT_MODE_EXACT;
    if (armed) ht_live_arm();
    if (exact) return map_init(map_limit);
    ht_thin_forget();
    ht_live_sample_count = 0;
    if (ht_live_samples.keys) { // as above; the filter's old counts do no harm
        ht_table_empty(&ht_live_samples);
        return true;
    }
    if (!ht_table_init(&ht_live_samples, HT_SAMPLES_BITS)) return false;
    ht_memory_used(HT_MEMORY_LIVE, (int64_t)(sizeof(struct ht_block) + sizeof(uint64_t)) << HT_SAMPLES_BITS);
    return true;
}

void ht_live_forget(void) {
    memset(ht_filter, 0, sizeof ht_filter);
    __atomic_store_n(&ht_filter_factor, HT_FILTER_FACTOR, __ATOMIC_RELEASE);
    __atomic_store_n(&is_armed, false, __ATOMIC_RELAXED);
    ht_bootstrap_mark();
    if (exact) empty_leaves();
    if (odd.keys) ht_table_empty(&odd);
    if (ht_live_samples.keys) ht_table_empty(&ht_live_samples);
}

bool ht_live_is_plain(void) { return exact && !ht_page_map.wide && ht_page_map.size_in_head; }

bool ht_live_put(const void *block, const struct ht_block *what) {
    uint64_t address = (uint64_t)(uintptr_t)block;
    return exact ? map_put(address, what) : sample_put(address, what);
}

enum ht_taken ht_live_take(const void *block, struct ht_block *ret) {
    uint64_t address = (uint64_t)(uintptr_t)block;
    return exact ? map_take(address, ret) : sample_take(address, ret);
}
