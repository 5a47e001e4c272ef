// SPDX-License-Identifier: Apache-2.0
// month.c: a program of many stacks that runs for a month, as its books show it, in minutes.
//
//   month STACKS DAYS TICK_S MOTION MODE [TRUTH]
//
// It keeps books as native/books.h says and drives the recorder's clock through the descriptor in $CLOCK_FD: at each tick it
// counts what would have been counted since the last, and puts the clock forward by TICK_S. MOTION: `some`: a stack is met as
// often as its place in a law of 1/rank says, but at least about once an hour; `all`: every stack at every tick.
// MODE: `exact`, or `sampled` (one sample for each 512 KiB, of that weight). The same arguments give the same counts.
//
// What a stack holds is a function of the time and its number, which TRUTH gets as lines "ID SHAPE": most are steady or free
// all they take; every 64th (counted from the heavy end) has a shape of its own: a leak, one jump of 15 MB, three jumps, a
// cache that fills, a wave by day, by hour and by ten minutes.
#define _GNU_SOURCE
#include "books.h"
#include "sys.h"

#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LANES = 4, DEPTH = 24, SHARED = 14, LOG_BYTES = 1 << 20, SAMPLE = 512 << 10, SPECIAL = 64 };
static const double DAY_S = 86400, MIB = 1 << 20;

static char *base;
static struct ht_books_header *header;
static struct ht_control *control;
static struct ht_lane *lane;
static unsigned stacks, clock_fd;
static double tick_s, days;
static bool sampled, all_move;
static int64_t *held; // by stack: bytes in use
static uint64_t random_state = 88172645463325252u;

static double random_unit(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

// ---- The books ------------------------------------------------------------------------------------------------------

static unsigned slot_shift(void) { return sampled ? 6 : 5; }
static uint64_t pages_per_run(void) { return ((1u << HT_GROUP_SHIFT) << slot_shift()) / HT_PAGE; }

static int create_books(void) {
    uint32_t groups = (stacks + HT_FIRST_STACK_ID) / 128 + 1;
    struct ht_books_header h = {.version = HT_BOOKS_VERSION,
                                .header_bytes = sizeof h,
                                .mode = sampled ? HT_MODE_SAMPLED : HT_MODE_EXACT,
                                .slot_shift = slot_shift(),
                                .lane_count = LANES,
                                .max_ids = groups * 128,
                                .group_count = groups,
                                .lanes_offset = 2 * HT_PAGE,
                                .log_size = LOG_BYTES,
                                .pool_pages = groups * HT_BUFFERS * pages_per_run(),
                                .pid = getpid(),
                                .parent_pid = getppid(),
                                .flags = ht_sys_membarrier_register() ? HT_FLAG_MEMBARRIER : 0,
                                .agent_version = "month",
                                .interval = sampled ? SAMPLE : 1,
                                .next_id = HT_FIRST_STACK_ID,
                                .lanes_used = 2};
    h.lane_stride = (uint32_t)((sizeof(struct ht_lane) + 4ull * groups + HT_PAGE - 1) & ~(HT_PAGE - 1ull));
    h.log_offset = h.lanes_offset + LANES * (uint64_t)h.lane_stride;
    h.own_offset = h.regions_offset = h.samples_offset = h.pool_offset = h.log_offset + h.log_size;
    h.total_bytes = h.pool_offset + h.pool_pages * HT_PAGE;
    h.started_realtime_ns = ht_sys_realtime_ns();
    h.started_boottime_ns = ht_sys_boottime_ns();
    h.magic = HT_BOOKS_MAGIC;
    int fd = (int)ht_sys_sealed_memfd("month-books", h.total_bytes);
    base = fd < 0 ? NULL : ht_sys_map_shared(fd, h.total_bytes);
    if (!base) exit(99);
    memcpy(base, &h, sizeof h);
    header = (void *)base;
    control = (void *)(base + HT_CONTROL_OFFSET);
    lane = (void *)(base + h.lanes_offset + h.lane_stride);
    return fd;
}

static void hand_over(int books) {
    int fds[] = {books, open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC)};
    struct ht_hello hello = {HT_HELLO_MAGIC, HT_BOOKS_VERSION, getpid(), header->total_bytes};
    const char *address = getenv("HEAPTIDE_SOCKET");
    if (!address || ht_sys_send_once(address, &hello, sizeof hello, fds, 2) < 0) exit(98);
    close(fds[0]);
    close(fds[1]);
}

static void *log_reserve(uint64_t bytes, uint64_t *position) {
    bytes = (bytes + 15) & ~15ull;
    uint64_t head = header->log_head, mask = header->log_size - 1, to_end = header->log_size - (head & mask);
    uint64_t need = bytes <= to_end ? bytes : to_end + bytes;
    while (head + need - __atomic_load_n(&control->log_ack, __ATOMIC_ACQUIRE) > header->log_size) usleep(200);
    *position = head + need - bytes;
    __atomic_store_n(&header->log_head, head + need, __ATOMIC_RELEASE);
    if (need != bytes) {
        struct ht_log_entry *pad = (void *)(base + header->log_offset + (head & mask));
        *pad = (struct ht_log_entry){.bytes = (uint32_t)to_end, .type = HT_LOG_PAD};
        __atomic_store_n(&pad->stamp, ht_log_stamp(head), __ATOMIC_RELEASE);
    }
    struct ht_log_entry *entry = (void *)(base + header->log_offset + (*position & mask));
    entry->bytes = (uint32_t)bytes;
    return entry;
}

static void publish(struct ht_log_entry *entry, uint64_t position) {
    __atomic_store_n(&entry->stamp, ht_log_stamp(position), __ATOMIC_RELEASE);
}

static void log_module(void) {
    uint64_t position;
    struct ht_log_module *m = log_reserve(sizeof *m, &position);
    m->entry.type = HT_LOG_MODULE, m->entry.flags = 0, m->entry.id = 1;
    m->start = 0x400000, m->end = 0x40000000, m->bias = 0, m->seen_boottime_ns = ht_sys_boottime_ns();
    m->phnum = m->build_id_bytes = m->path_bytes = 0, m->flags = HT_MODULE_MAIN;
    publish(&m->entry, position);
}

// The root-most frames are shared by stacks of neighbouring numbers, as in a real program; the leaf is the stack's own.
static void log_stack(uint32_t id) {
    uint64_t position;
    struct ht_log_stack *stack = log_reserve(sizeof *stack + DEPTH * 8, &position);
    stack->entry.type = HT_LOG_STACK, stack->entry.flags = 0, stack->entry.id = id;
    stack->depth = DEPTH;
    for (uint32_t i = 0; i < DEPTH; i++) {
        uint32_t own = i < DEPTH - SHARED ? id : id >> 6;
        stack->pcs[i] =
            0x400000 + (own * 2654435761u >> 8 & 0xfffff) * 16 + i * 4 + (i == 0 ? 0x1000000 + id * 64ull : 0);
    }
    publish(&stack->entry, position);
}

// ---- What a stack holds ---------------------------------------------------------------------------------------------

enum shape { STEADY, TEMPORARY, LEAK, JUMP, JUMPS, CACHE, DAILY, HOURLY, BRISK, SHAPES };
static const char *const NAMES[] = {"steady", "temporary", "leak",   "jump", "jumps",
                                    "cache",  "daily",     "hourly", "brisk"};

static enum shape shape_of(unsigned stack) {
    if (stack % SPECIAL == 3 && stack / SPECIAL < 1000) return LEAK + (stack / SPECIAL) % (SHAPES - LEAK);
    return stack % 3 ? TEMPORARY : STEADY;
}

static double wave(double t, double period, unsigned stack) {
    return 1 + sin(6.283185307 * (t / period + stack * 0.618));
}

static double level(unsigned stack, double t) {
    double size = 40 * MIB / (1 + stack), whole = days * DAY_S, part = t / whole;
    double large = 15 * MIB / (1 + stack / (8 * SPECIAL)); // of a special one
    switch (shape_of(stack)) {
    case STEADY: return size * (0.9 + 0.2 * random_unit());
    case TEMPORARY: return random_unit() < 0.05 ? size * 0.1 * random_unit() : 0;
    case LEAK: return large * part;
    case JUMP: return part > 0.31 ? large : 0;
    case JUMPS: return large / 3 * ((part > 0.17) + (part > 0.42) + (part > 0.83));
    case CACHE: return large * (1 - exp(-part * 12)) * (0.98 + 0.02 * random_unit());
    case DAILY: return large * wave(t, DAY_S, stack);
    case HOURLY: return large * wave(t, 3600, stack);
    case BRISK: return large * wave(t, 600, stack);
    default: return 0;
    }
}

// ---- A tick ---------------------------------------------------------------------------------------------------------

static uint64_t *counter(uint32_t id) {
    uint32_t *pages = (void *)(lane + 1), *page = pages + (id >> HT_GROUP_SHIFT);
    if (!*page) {
        *page = (uint32_t)header->pool_used + 1;
        __atomic_store_n(&header->pool_used, header->pool_used + HT_BUFFERS * pages_per_run(), __ATOMIC_RELAXED);
    }
    uint64_t run = *page - 1 + (__atomic_load_n(&control->epoch, __ATOMIC_RELAXED) & 1) * pages_per_run();
    return (void *)(base + header->pool_offset + run * HT_PAGE + ((uint64_t)(id & 127) << slot_shift()));
}

static void count(uint64_t *c, int what, uint64_t bytes, uint64_t objects) {
    c[2 * what] += bytes;
    c[2 * what + 1] += sampled ? objects << 16 : objects;
    if (!sampled) return;
    struct ht_sampled_counter *s = (void *)c;
    *(what ? &s->free_variance : &s->alloc_variance) += (double)objects * SAMPLE * SAMPLE;
    *(what ? &s->free_samples : &s->alloc_samples) += (uint32_t)objects;
}

// Its blocks are of one size; in sampled mode each of them is a sample.
static void visit(unsigned stack, double t) {
    uint64_t block = sampled ? SAMPLE : 64 + stack % 1000;
    double exact = level(stack, t) / (double)block;
    int64_t blocks = (int64_t)(exact + random_unit()), before = held[stack];
    int64_t churn = sampled ? random_unit() < 0.1 : (int64_t)(1 + random_unit() * 50);
    if (sampled && blocks == before && !churn) return;
    int64_t more = blocks > before ? blocks - before : 0, less = before > blocks ? before - blocks : 0;
    uint64_t *c = counter(HT_FIRST_STACK_ID + stack);
    count(c, 0, (uint64_t)(more + churn) * block, (uint64_t)(more + churn));
    count(c, 1, (uint64_t)(less + churn) * block, (uint64_t)(less + churn));
    held[stack] = blocks;
    __atomic_store_n(&lane->total_alloc_bytes, lane->total_alloc_bytes + (uint64_t)(more + churn) * block,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&lane->total_free_bytes, lane->total_free_bytes + (uint64_t)(less + churn) * block,
                     __ATOMIC_RELAXED);
}

static bool is_met(unsigned stack) {
    if (all_move || shape_of(stack) >= LEAK) return true;
    double often = 300.0 / (1 + stack), hourly = tick_s / 3600;
    return random_unit() < (often > hourly ? often : hourly);
}

static void tick(double t) {
    __atomic_store_n(&lane->seq, lane->seq + 1, __ATOMIC_RELEASE);
    for (unsigned stack = 0; stack < stacks; stack++)
        if (is_met(stack)) visit(stack, t);
    __atomic_store_n(&lane->seq, lane->seq + 1, __ATOMIC_RELEASE);
}

static uint64_t forward(double seconds) {
    struct {
        uint64_t forward_ns;
        int64_t jump_ns;
    } request = {(uint64_t)(seconds * 1e9), 0};
    uint64_t answer[3];
    if (send(clock_fd, &request, sizeof request, MSG_NOSIGNAL) < 0) exit(97);
    if (recv(clock_fd, answer, sizeof answer, 0) <= 0) exit(96);
    return answer[2]; // snapshots so far
}

// The first snapshot is due at once, by a clock that is not driven: nothing is counted before it is taken.
static void await_first_snapshot(void) {
    while (!forward(0)) usleep(500);
}

static void write_truth(const char *path) {
    FILE *file = fopen(path, "we");
    for (unsigned stack = 0; file && stack < stacks; stack++)
        fprintf(file, "%u %s\n", stack + HT_FIRST_STACK_ID, NAMES[shape_of(stack)]);
    if (!file || fclose(file)) exit(95);
}

int main(int argc, char **argv) {
    if (argc < 6 || !getenv("CLOCK_FD")) return 2;
    stacks = (unsigned)atoi(argv[1]), days = atof(argv[2]), tick_s = atof(argv[3]);
    all_move = !strcmp(argv[4], "all"), sampled = !strcmp(argv[5], "sampled");
    clock_fd = (unsigned)atoi(getenv("CLOCK_FD"));
    held = calloc(stacks, sizeof *held);
    if (argc > 6) write_truth(argv[6]);
    int books = create_books();
    log_module();
    hand_over(books);
    for (unsigned stack = 0; stack < stacks; stack++) {
        log_stack(HT_FIRST_STACK_ID + stack);
        __atomic_store_n(&header->next_id, (uint64_t)HT_FIRST_STACK_ID + stack + 1, __ATOMIC_RELEASE);
    }
    await_first_snapshot();
    for (double t = 0; t < days * DAY_S; t += tick_s) {
        tick(t);
        forward(tick_s);
    }
    return 0;
}
