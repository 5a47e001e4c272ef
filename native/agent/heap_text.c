// SPDX-License-Identifier: Apache-2.0
#include "heap_text.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "real.h"
#include "stacks.h"

// ---- Totals ---------------------------------------------------------------------------------------------------------------

static struct ht_counter *totals;
static uint32_t totals_ids;
enum { GRACE_TURNS = 20000 };

void ht_heap_totals_reset(void) {
    if (totals) memset(totals, 0, totals_ids * sizeof *totals);
}

static void add(struct ht_counter *to, const struct ht_counter *what) {
    to->alloc_bytes += what->alloc_bytes, to->alloc_objects += what->alloc_objects;
    to->free_bytes += what->free_bytes, to->free_objects += what->free_objects;
}

static void fold_group(struct ht_books *b, struct ht_lane *lane, uint32_t group, unsigned buffer, bool drain) {
    for (uint32_t id = group << HT_GROUP_SHIFT; id < (group + 1) << HT_GROUP_SHIFT; id++) {
        struct ht_counter *c = ht_books_counter(b, lane, buffer, id);
        add(&totals[id], c);
        if (drain) *c = (struct ht_counter){0};
    }
}

static void fold(struct ht_books *b, unsigned buffer, bool drain) {
    uint64_t lanes = __atomic_load_n(&b->header->lanes_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < lanes && i < b->lane_count; i++) {
        struct ht_lane *lane = ht_books_lane(b, i);
        for (uint32_t g = 0; g < b->header->group_count; g++)
            if (__atomic_load_n(&ht_lane_groups(lane)[g], __ATOMIC_ACQUIRE)) fold_group(b, lane, g, buffer, drain);
    }
}

static bool is_inside(struct ht_lane *lane, uint32_t number, unsigned parity, uint64_t seq) {
    if (number == 0) return __atomic_load_n(&lane->inside[parity], __ATOMIC_ACQUIRE) != 0;
    return seq & 1 && __atomic_load_n(&lane->seq, __ATOMIC_ACQUIRE) == seq;
}

// Until no thread is inside an operation of the old epoch. A thread that does not run is not waited for for ever.
static void wait_for_grace(struct ht_books *b, unsigned parity) {
    uint64_t lanes = __atomic_load_n(&b->header->lanes_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < lanes && i < b->lane_count; i++) {
        struct ht_lane *lane = ht_books_lane(b, i);
        uint64_t seq = __atomic_load_n(&lane->seq, __ATOMIC_ACQUIRE);
        for (int turn = 0; turn < GRACE_TURNS && is_inside(lane, i, parity, seq); turn++)
            if (turn % 64 == 63)
                sched_yield();
            else
                ht_cpu_relax();
    }
}

struct ht_counter *ht_heap_totals(struct ht_books *b, bool drain) {
    if (!totals) totals = ht_sys_map((totals_ids = b->max_ids) * sizeof *totals);
    if (!totals) return NULL;
    if (drain) {
        uint64_t epoch = __atomic_fetch_add(&b->control->epoch, 1, __ATOMIC_SEQ_CST);
        ht_sys_membarrier_private();
        wait_for_grace(b, epoch & 1);
        fold(b, epoch & 1, true);
    } else {
        memset(totals, 0, totals_ids * sizeof *totals);
        for (unsigned buffer = 0; buffer < (ht_gate->phase ? 4 : 2); buffer++) fold(b, buffer, false);
    }
    return totals;
}

// ---- Text -----------------------------------------------------------------------------------------------------------------

enum { BUFFER = 1 << 16 };

static void flush(struct ht_text *out) {
    uint64_t done = 0;
    if (out->fd >= 0 && out->written + out->used > ht_sys_file_size_limit())
        out->failed = -27; // EFBIG, or else SIGXFSZ
    while (out->fd >= 0 && done < out->used && !out->failed) {
        long n = ht_sys_write(out->fd, out->memory + done, out->used - done);
        if (n > 0)
            done += (uint64_t)n;
        else if (n != -4 /* EINTR */)
            out->failed = n ? n : -28;
    }
    out->written += done;
    if (out->fd >= 0) out->used = 0;
}

static bool make_room(struct ht_text *out, uint64_t bytes) {
    if (out->fd >= 0 && out->memory) flush(out);
    if (out->used + bytes <= out->room) return true;
    uint64_t room = out->room ? 2 * out->room : BUFFER;
    char *memory = out->fd >= 0 ? ht_sys_map(room) : ht_real.realloc(out->memory, room);
    if (!memory) {
        out->failed = -12;
        return false;
    }
    out->memory = memory, out->room = room;
    return true;
}

static void put(struct ht_text *out, const char *text, uint64_t bytes) {
    if (out->failed || (out->used + bytes > out->room && !make_room(out, bytes))) return;
    memcpy(out->memory + out->used, text, bytes);
    out->used += bytes;
}

static void put_text(struct ht_text *out, const char *text) { put(out, text, strlen(text)); }

char *ht_decimal(char *end, uint64_t value) {
    do *--end = (char)('0' + value % 10);
    while (value /= 10);
    return end;
}

static void put_number(struct ht_text *out, uint64_t value, int width) {
    char digits[32], *end = digits + sizeof digits, *first = ht_decimal(end, value);
    while (end - first < width) *--first = ' ';
    put(out, first, (uint64_t)(end - first));
}

static void put_address(struct ht_text *out, uint64_t value) {
    char digits[20], *end = digits + sizeof digits, *first = end;
    do *--first = "0123456789abcdef"[value & 15];
    while (value >>= 4);
    while (end - first < 8) *--first = '0';
    *--first = 'x', *--first = '0', *--first = ' ';
    put(out, first, (uint64_t)(end - first));
}

// In use can never be negative: a free whose allocation a reading in passing missed is left out.
static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

static void put_counts(struct ht_text *out, const struct ht_counter *c) {
    put_number(out, less(c->alloc_objects, c->free_objects), 6);
    put_text(out, ": ");
    put_number(out, less(c->alloc_bytes, c->free_bytes), 8);
    put_text(out, " [");
    put_number(out, c->alloc_objects, 6);
    put_text(out, ": ");
    put_number(out, c->alloc_bytes, 8);
    put_text(out, "] @");
}

static void put_record(struct ht_text *out, const struct ht_counter *c, const struct ht_kept_stack *stack) {
    put_counts(out, c);
    for (uint32_t i = 0; stack && i < stack->depth; i++) put_address(out, stack->pcs[i]);
    if (!stack) put_address(out, 0); // a special id: counted, but without a stack
    put_text(out, "\n");
}

static void put_maps(struct ht_text *out) {
    char part[4096];
    put_text(out, "\nMAPPED_LIBRARIES:\n");
    int fd = (int)ht_sys_open("/proc/self/maps", O_RDONLY, 0);
    for (long n; fd >= 0 && (n = ht_sys_read(fd, part, sizeof part)) > 0;) put(out, part, (uint64_t)n);
    if (fd >= 0) ht_sys_close(fd);
}

static uint64_t in_use(const struct ht_counter *c) { return less(c->alloc_bytes, c->free_bytes); }

static void sift(uint32_t *ids, uint32_t n, uint32_t i, const struct ht_counter *c) {
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && in_use(&c[ids[child + 1]]) < in_use(&c[ids[child]])) child++;
        if (in_use(&c[ids[i]]) <= in_use(&c[ids[child]])) return;
        uint32_t other = ids[i];
        ids[i] = ids[child], ids[child] = other;
    }
}

// Heap sort, the largest in use first: in place, for nothing may be allocated here.
static void sort(uint32_t *ids, uint32_t n, const struct ht_counter *c) {
    for (uint32_t i = n / 2; i-- > 0;) sift(ids, n, i, c);
    while (n-- > 1) {
        uint32_t smallest = ids[0];
        ids[0] = ids[n], ids[n] = smallest;
        sift(ids, n, 0, c);
    }
}

static enum ht_text_kinds kind_of(uint32_t id) {
    const struct ht_kept_stack *stack = ht_stacks_kept(id);
    return stack && stack->flags & HT_STACK_MMAP ? HT_TEXT_MAPPINGS : HT_TEXT_BLOCKS;
}

static void put_header(struct ht_text *out, const struct ht_counter *c, uint32_t ids, enum ht_text_kinds kinds) {
    struct ht_counter sum = {0};
    for (uint32_t id = 1; kinds & HT_TEXT_BLOCKS && id < ids; id++)
        if (kind_of(id) == HT_TEXT_BLOCKS) add(&sum, &c[id]);
    put_text(out, "heap profile: ");
    put_counts(out, &sum);
    put_text(out, " heapprofile\n");
}

void ht_heap_text_write(struct ht_text *out, const struct ht_counter *c, uint32_t ids, enum ht_text_kinds kinds) {
    put_header(out, c, ids, kinds);
    uint32_t *order = ht_sys_map(ids * sizeof *order), n = 0;
    for (uint32_t id = 1; order && id < ids; id++)
        if (c[id].alloc_objects && kind_of(id) & kinds) order[n++] = id;
    sort(order, n, c);
    for (uint32_t i = 0; i < n; i++) put_record(out, &c[order[i]], ht_stacks_kept(order[i]));
    if (order) ht_sys_unmap(order, ids * sizeof *order);
    put_maps(out);
    if (out->fd < 0) return;
    flush(out);
    if (out->memory) ht_sys_unmap(out->memory, out->room);
}
