// SPDX-License-Identifier: Apache-2.0
#include "books.h"

#include <fcntl.h>
#include <string.h>

#include "../version.h"
#include "thread.h"

static struct ht_gate closed_gate;
struct ht_gate *ht_gate = &closed_gate;

bool ht_gate_init(void) {
    if (ht_gate != &closed_gate) return true;
    struct ht_gate *page = ht_sys_map_wiped_on_fork(HT_PAGE);
    if (page) ht_gate = page;
    return page != NULL;
}

// ---- The agent's own memory -----------------------------------------------------------------------------------------

static uint64_t memory[HT_MEMORY_COUNT];

void ht_memory_used(enum ht_memory_kind kind, int64_t bytes) {
    uint64_t now = __atomic_add_fetch(&memory[kind], (uint64_t)bytes, __ATOMIC_RELAXED);
    struct ht_books *b = ht_books_now();
    if (b) __atomic_store_n(&b->header->memory[kind], now, __ATOMIC_RELAXED);
}

// ---- Making books ---------------------------------------------------------------------------------------------------

// What each mode reserves. Reserved is not used: pages count when a stack's counters need them.
struct size {
    uint32_t max_ids, slot_shift;
    uint64_t log_bytes, pool_pages;
    uint32_t regions; // twice what the kernel allows a process by default
    uint32_t samples; // as many as the table of samples can hold
};
static const struct size sampled_size = {1u << 14, 6, 256u << 10, 1u << 12, 1u << 17, 1u << 15};
static const struct size exact_size = {1u << 20, 5, 4u << 20, 1u << 18, 1u << 17, 1u << 15};

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

static void lay_out(struct ht_books_header *h, const struct ht_books_plan *plan, struct size size) {
    uint32_t lanes = 2 * ht_sys_cpu_count();
    memset(h, 0, sizeof *h);
    h->version = HT_BOOKS_VERSION;
    h->header_bytes = sizeof *h;
    h->mode = plan->mode;
    h->slot_shift = size.slot_shift;
    h->lane_count = lanes < 16 ? 16 : lanes > 256 ? 256 : lanes;
    h->max_ids = size.max_ids;
    h->group_count = size.max_ids >> HT_GROUP_SHIFT;
    h->lane_stride = (uint32_t)round_up(sizeof(struct ht_lane) + h->group_count * sizeof(uint32_t), HT_PAGE);
    h->lanes_offset = HT_CONTROL_OFFSET + HT_PAGE;
    h->log_offset = h->lanes_offset + (uint64_t)h->lane_count * h->lane_stride;
    h->log_size = size.log_bytes;
    h->own_offset = h->log_offset + h->log_size;
    h->own_slots = HT_OWN_SLOTS;
    h->regions_offset = round_up(h->own_offset + h->own_slots * sizeof(struct ht_range), HT_PAGE);
    h->region_slots = size.regions;
    h->samples_offset = round_up(h->regions_offset + h->region_slots * sizeof(struct ht_range), HT_PAGE);
    h->sample_slots = plan->shared ? size.samples : 0;
    h->pool_offset = round_up(h->samples_offset + h->sample_slots * sizeof(struct ht_live_sample), HT_PAGE);
    h->pool_pages = size.pool_pages;
    h->total_bytes = h->pool_offset + h->pool_pages * HT_PAGE;
    h->pid = (int32_t)ht_sys_getpid();
    h->parent_pid = plan->parent_pid;
    h->started_realtime_ns = ht_sys_realtime_ns();
    h->started_boottime_ns = ht_sys_boottime_ns();
    h->flags = plan->flags;
    h->interval = plan->interval;
    h->next_id = HT_FIRST_STACK_ID;
    h->lanes_used = 1;
    strncpy(h->agent_version, HT_VERSION, sizeof h->agent_version - 1);
}

// Shared: a memfd of the size that the header asks for, mapped. Private: the same without a file.
static bool map_books(struct ht_books *b, const struct ht_books_header *h, bool shared) {
    b->fd = -1;
    if (h->total_bytes > ht_sys_address_limit() / 8) return false; // the program has more need of what there is
    if (!shared) return (b->base = ht_sys_map(h->total_bytes)) != NULL;
    if (ht_sys_file_size_limit() < h->total_bytes) return false; // growing a file above it would kill by SIGXFSZ
    b->fd = (int)ht_sys_sealed_memfd("heaptide", h->total_bytes);
    if (b->fd < 0) return false;
    b->base = ht_sys_map_shared(b->fd, h->total_bytes);
    return b->base != NULL;
}

static bool populate(char *start, uint64_t bytes) {
    if (ht_sys_populate(start, bytes) < 0) return false;
    ht_memory_used(HT_MEMORY_BOOKS, (int64_t)bytes);
    return true;
}

static bool try_size(struct ht_books *b, const struct ht_books_plan *plan, struct size size) {
    struct ht_books_header h;
    lay_out(&h, plan, size);
    if (map_books(b, &h, plan->shared)) {
        uint64_t first_lane = h.lanes_offset + h.lane_stride;
        if (populate(b->base, first_lane)) {
            *b = (struct ht_books){
                .control = (struct ht_control *)(b->base + HT_CONTROL_OFFSET),
                .pool = b->base + h.pool_offset,
                .mode = plan->mode,
                .starts_disarmed = plan->flags & HT_FLAG_DISARMED,
                .slot_shift = size.slot_shift,
                .pages_per_run = (1ull << HT_GROUP_SHIFT << size.slot_shift) / HT_PAGE,
                .header = (struct ht_books_header *)b->base,
                .base = b->base,
                .bytes = h.total_bytes,
                .lane_count = h.lane_count,
                .max_ids = size.max_ids,
                .fd = b->fd,
            };
            memcpy(b->header, &h, sizeof h);
            __atomic_store_n(&b->header->magic, HT_BOOKS_MAGIC, __ATOMIC_RELEASE);
            return true;
        }
        ht_sys_unmap(b->base, h.total_bytes);
    }
    if (b->fd >= 0) ht_sys_close(b->fd);
    return false;
}

struct ht_books *ht_books_create(const struct ht_books_plan *plan) {
    struct ht_books *b = ht_sys_map(sizeof *b);
    if (!b) return NULL;
    struct size size = plan->mode == HT_MODE_EXACT ? exact_size : sampled_size;
    for (; size.max_ids >= 1u << 12;
         size.max_ids /= 4, size.pool_pages /= 4, size.regions /= 4) // RLIMIT_AS, RLIMIT_FSIZE, overcommit
        if (try_size(b, plan, size)) return b;
    ht_sys_unmap(b, sizeof *b);
    return NULL;
}

void ht_books_stand_in(const struct ht_books *b) { ht_sys_map_at(b->base, b->bytes); }

void ht_books_destroy(struct ht_books *b) {
    if (b->fd >= 0) ht_sys_close(b->fd);
    ht_sys_unmap(b->base, b->header->total_bytes);
    ht_sys_unmap(b, sizeof *b);
}

long ht_books_hand_over(struct ht_books *b, const char *address) {
    struct ht_hello hello = {HT_HELLO_MAGIC, HT_BOOKS_VERSION, b->header->pid, b->header->total_bytes};
    int fds[2] = {b->fd, (int)ht_sys_open("/proc/self/smaps_rollup", O_RDONLY, 0)};
    long r = ht_sys_send_once(address, &hello, sizeof hello, fds, fds[1] >= 0 ? 2 : 1);
    if (fds[1] >= 0) ht_sys_close(fds[1]);
    ht_sys_close(b->fd);
    b->fd = -1;
    return r;
}

bool ht_books_present(struct ht_books *b, uint64_t *present, uint64_t offset, uint64_t bytes) {
    uint64_t there = __atomic_load_n(present, __ATOMIC_ACQUIRE), until = round_up(bytes, HT_PAGE);
    if (ht_likely(bytes <= there)) return true;
    if (!populate(b->base + offset + there, until - there)) return false;
    __atomic_compare_exchange_n(present, &there, until, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return true;
}

// ---- Lanes ------------------------------------------------------------------------------------------------------------

uint32_t ht_books_take_lane(struct ht_books *b, uint64_t tid) {
    for (uint32_t i = 1; i < b->lane_count; i++) {
        struct ht_lane *lane = ht_books_lane(b, i);
        uint64_t used = __atomic_load_n(&b->header->lanes_used, __ATOMIC_RELAXED);
        if (i >= used && !populate((char *)lane, b->header->lane_stride)) break;
        uint64_t nobody = 0;
        if (!__atomic_compare_exchange_n(&lane->owner_tid, &nobody, tid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        while (used <= i && !__atomic_compare_exchange_n(&b->header->lanes_used, &used, i + 1, false, __ATOMIC_RELEASE,
                                                         __ATOMIC_RELAXED)) {
        }
        return i;
    }
    return 0;
}

void ht_books_return_lane(struct ht_books *b, uint32_t lane) {
    if (lane) __atomic_store_n(&ht_books_lane(b, lane)->owner_tid, 0, __ATOMIC_RELEASE);
}

static bool both_phases; // populate buffers 2 and 3 of new groups as well

static bool populate_group(struct ht_books *b, uint64_t page) {
    char *run = b->pool + page * HT_PAGE;
    unsigned buffers = __atomic_load_n(&both_phases, __ATOMIC_ACQUIRE) ? 4 : 2;
    return populate(run, buffers * b->pages_per_run * HT_PAGE);
}

static HT_COLD bool add_group(struct ht_books *b, struct ht_lane *lane, uint32_t group) {
    uint64_t pages = HT_BUFFERS * b->pages_per_run;
    if (__atomic_load_n(&b->header->pool_used, __ATOMIC_RELAXED) + pages > b->header->pool_pages) return false;
    uint64_t page = __atomic_fetch_add(&b->header->pool_used, pages, __ATOMIC_RELAXED);
    if (page + pages > b->header->pool_pages || !populate_group(b, page)) return false;
    uint32_t none = 0; // a loser's pages are wasted: a race of two threads, or of a signal handler
    __atomic_compare_exchange_n(&ht_lane_groups(lane)[group], &none, (uint32_t)page + 1, false, __ATOMIC_RELEASE,
                                __ATOMIC_RELAXED);
    return true;
}

uint64_t ht_books_hide_pool(struct ht_books *b) {
    uint64_t pages = b->header->pool_pages, used = __atomic_exchange_n(&b->header->pool_used, pages, __ATOMIC_ACQ_REL);
    if (used < pages) ht_sys_protect(b->pool + used * HT_PAGE, (pages - used) * HT_PAGE, false);
    return used;
}

void ht_books_show_pool(struct ht_books *b, uint64_t hidden) {
    uint64_t pages = b->header->pool_pages;
    ht_sys_unlock(b->base, b->header->total_bytes); // first: what is locked and private comes when it can be written
    if (hidden >= pages) return;                    // full, or another mlockall has it
    ht_sys_protect(b->pool + hidden * HT_PAGE, (pages - hidden) * HT_PAGE, true);
    __atomic_store_n(&b->header->pool_used, hidden, __ATOMIC_RELEASE);
}

uint32_t ht_books_ensure(struct ht_books *b, struct ht_lane *lane, uint32_t id) {
    uint32_t *groups = ht_lane_groups(lane);
    if (ht_likely(__atomic_load_n(&groups[id >> HT_GROUP_SHIFT], __ATOMIC_ACQUIRE))) return id;
    if (add_group(b, lane, id >> HT_GROUP_SHIFT)) return id;
    ht_books_lose(b, HT_LOSS_POOL_FULL, 1);
    if (__atomic_load_n(&groups[0], __ATOMIC_ACQUIRE) || add_group(b, lane, 0)) return HT_ID_POOL_FULL;
    return HT_ID_NONE;
}

void ht_books_mark_shutdown(struct ht_books *b) {
    if (__atomic_load_n(&b->header->shutdown_mark_ns, __ATOMIC_RELAXED)) return;
    __atomic_store_n(&both_phases, true, __ATOMIC_SEQ_CST);
    uint64_t run = b->pages_per_run * HT_PAGE, lanes = __atomic_load_n(&b->header->lanes_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < lanes && i < b->lane_count; i++) {
        uint32_t *groups = ht_lane_groups(ht_books_lane(b, i));
        for (uint32_t g = 0; g < b->header->group_count; g++) {
            uint32_t page = __atomic_load_n(&groups[g], __ATOMIC_ACQUIRE);
            if (!page) continue;
            char *start = b->pool + (page - 1ull) * HT_PAGE;
            if (!populate(start + 2 * run, 2 * run)) { // then shutdown is counted with the rest
                ht_books_lose(b, HT_LOSS_NO_MEMORY, 1);
                return;
            }
        }
    }
    __atomic_store_n(&ht_gate->phase, 2, __ATOMIC_SEQ_CST);
    __atomic_store_n(&b->header->shutdown_mark_ns, ht_sys_boottime_from_vdso_ns(), __ATOMIC_RELEASE);
}

// ---- The log ------------------------------------------------------------------------------------------------------------

static char *log_at(struct ht_books *b, uint64_t position) {
    return b->base + b->header->log_offset + (position & (b->header->log_size - 1));
}

void ht_log_publish(struct ht_log_entry *entry, uint64_t position) {
    struct ht_thread *t = ht_tls.thread;
    __atomic_store_n(&entry->stamp, ht_log_stamp(position), __ATOMIC_RELEASE);
    ht_compiler_barrier();
    if (t && t->reserved->is_ours && t->reserved->position == position) t->reserved->bytes = 0;
}

static void pad(struct ht_books *b, uint64_t position, uint64_t bytes) {
    struct ht_log_entry *entry = (struct ht_log_entry *)log_at(b, position);
    *entry = (struct ht_log_entry){.bytes = (uint32_t)bytes, .type = HT_LOG_PAD};
    ht_log_publish(entry, position);
}

// An entry that is never published is one that the recorder never gets past. So the thread remembers what it is about to
// reserve, and then that it has. The reservation of this thread; NULL: there is none to keep, or an interrupted one is in it.
static struct ht_reserved *reservation(void) {
    struct ht_thread *t = ht_tls.thread;
    return t && !t->reserved->bytes ? t->reserved : NULL;
}

// Was the room reserved by the one who left just then? The head moved on from where it stood: by him or by another, who will
// publish his entry in no time. So if nobody has, for long enough, it was he.
static bool was_reserved(struct ht_books *b, struct ht_reserved *r) {
    enum { LONG_ENOUGH_NS = 250000000 };
    if (r->is_ours) return true;
    if (__atomic_load_n(&b->header->log_head, __ATOMIC_ACQUIRE) == r->from) return r->bytes = 0, false;
    uint64_t now = ht_sys_boottime_from_vdso_ns();
    if (!r->asked_ns) r->asked_ns = now;
    return now - r->asked_ns > LONG_ENOUGH_NS;
}

static bool is_published(struct ht_books *b, uint64_t position) {
    const struct ht_log_entry *entry = (const struct ht_log_entry *)log_at(b, position);
    return __atomic_load_n(&b->control->log_ack, __ATOMIC_ACQUIRE) > position ||
           __atomic_load_n(&entry->stamp, __ATOMIC_ACQUIRE) == ht_log_stamp(position);
}

// Each step may be the last before this, too, is left: what stands at `position` is published when all is done.
static void settle(struct ht_books *b, struct ht_reserved *r) {
    if (r->bytes && is_published(b, r->is_ours ? r->position : r->from)) r->bytes = 0;
    if (!r->bytes || !was_reserved(b, r)) return;
    r->is_ours = true;
    ht_compiler_barrier();
    if (r->from != r->position) pad(b, r->from, r->position - r->from);
    pad(b, r->position, r->bytes);
    r->bytes = 0;
}

// One that is in doubt steps aside: until it is settled, the next may be left as well.
void ht_log_left(struct ht_books *b, struct ht_thread *t) {
    struct ht_reserved *now = &t->reserved[0], *doubtful = &t->reserved[1];
    if (b != t->books) now->bytes = doubtful->bytes = 0;
    settle(b, doubtful);
    settle(b, now);
    if (!now->bytes || doubtful->bytes) return;
    *doubtful = (struct ht_reserved){.from = now->from, .position = now->position, .asked_ns = now->asked_ns};
    ht_compiler_barrier();
    doubtful->bytes = now->bytes;
    ht_compiler_barrier();
    now->bytes = 0;
}

// The log's pages come as it first reaches them: most programs never fill it once.
static bool make_log_present(struct ht_books *b, uint64_t end) {
    enum { CHUNK = 128 << 10 };
    uint64_t until = round_up(end, CHUNK);
    if (ht_likely(end <= __atomic_load_n(&b->log_present, __ATOMIC_ACQUIRE))) return true;
    return ht_books_present(b, &b->log_present, b->header->log_offset,
                            until < b->header->log_size ? until : b->header->log_size);
}

struct ht_log_entry *ht_log_reserve(struct ht_books *b, uint64_t bytes, uint64_t *ret_position) {
    uint64_t size = b->header->log_size, head = __atomic_load_n(&b->header->log_head, __ATOMIC_RELAXED), to_end, end;
    struct ht_reserved none, *r = reservation();
    if (!r) r = &none;
    bytes = round_up(bytes, 16);
    do {
        to_end = size - (head & (size - 1));
        end = head + (bytes <= to_end ? bytes : to_end + bytes); // entries never wrap
        uint64_t acknowledged = __atomic_load_n(&b->control->log_ack, __ATOMIC_ACQUIRE);
        bool fits = bytes <= size / 2 && end - acknowledged <= size;
        r->bytes = 0;
        if (!fits || !make_log_present(b, end < size ? end : size)) return NULL;
        *r = (struct ht_reserved){.from = head, .position = end - bytes};
        ht_compiler_barrier();
        r->bytes = bytes;
        ht_compiler_barrier();
    } while (!__atomic_compare_exchange_n(&b->header->log_head, &head, end, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    ht_compiler_barrier();
    r->is_ours = true;
    *ret_position = r->position;
    struct ht_log_entry *entry = (struct ht_log_entry *)log_at(b, r->position);
    __atomic_store_n(&entry->stamp, 0, __ATOMIC_RELAXED);
    entry->bytes = (uint32_t)bytes;
    if (r->position != r->from) pad(b, r->from, to_end);
    return entry;
}
