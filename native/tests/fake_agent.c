// SPDX-License-Identifier: Apache-2.0
// fake_agent.c: a program that keeps books as books.h says, with known stacks and counters, for the tests of the recorder.
//
//   fake_agent [WORD=VALUE]...     registers at HEAPTIDE_SOCKET
//     mode=exact|sampled  threads=N  shared=0|1 (all threads in lane 0)  ms=N  stacks=N  log=BYTES
//     end=exit|kill|exec|exec-unregistered|shutdown|stay    how it ends
//     truth=FILE    what it counted itself: 4 words (as the columns of a snapshot) for each thread, right after each operation
//     damage=SEED   writes rubbish into its books while it runs
//     freeze=1      one thread stays inside an operation for 300 ms
//     abandon=1     one thread leaves an operation unfinished and sleeps for ever
//     depth=N       frames per stack
//     resident=MIB  so much memory is touched before it registers
//
// Threads allocate and hand what they have to each other: half of all frees are of another thread's blocks. So a cut that
// is not one shows as a stack with more frees than allocations.
#define _GNU_SOURCE
#include "books.h"
#include "sys.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LANES = 8, MAX_IDS = 1 << 12, POOL_PAGES = 1 << 13, MAILBOXES = 64, MAX_THREADS = 64 };

struct settings {
    bool sampled, shared, freeze, abandon;
    unsigned threads, ms, stacks, depth, resident;
    uint64_t log_bytes, damage;
    const char *end, *truth;
};
static struct settings settings = {
    .threads = 2, .ms = 100, .stacks = 200, .depth = 12, .log_bytes = 1 << 16, .end = "exit"};

static char *base;
static struct ht_books_header *header;
static struct ht_control *control;
static unsigned phase; // 0, or 2 since the shutdown
static bool stopping;
static uint64_t (*truth)[4];
static uint64_t mailboxes[MAILBOXES]; // id << 32 | size of a block in flight; 0: none
static __thread struct ht_lane *lane;
static __thread unsigned self;
static __thread uint64_t random_state;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

// ---- The books ------------------------------------------------------------------------------------------------------

static unsigned slot_bytes(void) { return settings.sampled ? 64 : 32; }
static uint64_t pages_per_run(void) { return (1u << HT_GROUP_SHIFT) * slot_bytes() / HT_PAGE; }
static struct ht_lane *lane_at(unsigned i) {
    return (struct ht_lane *)(void *)(base + header->lanes_offset + i * (uint64_t)header->lane_stride);
}

static void lay_out(struct ht_books_header *h) {
    *h = (struct ht_books_header){.version = HT_BOOKS_VERSION,
                                  .header_bytes = sizeof *h,
                                  .mode = settings.sampled ? HT_MODE_SAMPLED : HT_MODE_EXACT,
                                  .slot_shift = settings.sampled ? 6 : 5,
                                  .lane_count = LANES,
                                  .max_ids = MAX_IDS,
                                  .group_count = MAX_IDS >> HT_GROUP_SHIFT,
                                  .lanes_offset = 2 * HT_PAGE,
                                  .log_size = settings.log_bytes,
                                  .pool_pages = POOL_PAGES,
                                  .pid = getpid(),
                                  .parent_pid = getppid(),
                                  .flags = ht_sys_membarrier_register() ? HT_FLAG_MEMBARRIER : 0,
                                  .agent_version = "fake",
                                  .interval = settings.sampled ? 4096 : 1,
                                  .next_id = HT_FIRST_STACK_ID,
                                  .lanes_used = 1};
    h->lane_stride = HT_PAGE;
    h->log_offset = h->lanes_offset + LANES * h->lane_stride;
    h->pool_offset = h->log_offset + h->log_size;
    h->total_bytes = h->pool_offset + h->pool_pages * HT_PAGE;
    h->started_realtime_ns = ht_sys_realtime_ns();
    h->started_boottime_ns = ht_sys_boottime_ns();
    h->magic = HT_BOOKS_MAGIC;
}

static int create_books(void) {
    struct ht_books_header h;
    lay_out(&h);
    int fd = (int)ht_sys_sealed_memfd("fake-books", h.total_bytes);
    base = fd < 0 ? NULL : ht_sys_map_shared(fd, h.total_bytes);
    if (!base) exit(99);
    memcpy(base, &h, sizeof h);
    header = (struct ht_books_header *)(void *)base;
    control = (struct ht_control *)(void *)(base + HT_CONTROL_OFFSET);
    return fd;
}

static void hand_over(int books) {
    const char *address = getenv("HEAPTIDE_SOCKET");
    int fds[] = {books, open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC)};
    struct ht_hello hello = {HT_HELLO_MAGIC, HT_BOOKS_VERSION, getpid(), header->total_bytes};
    if (!address || ht_sys_send_once(address, &hello, sizeof hello, fds, 2) < 0) exit(98);
    close(fds[0]);
    close(fds[1]);
}

// ---- The log --------------------------------------------------------------------------------------------------------

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void *log_reserve(uint64_t bytes, uint64_t *position) {
    bytes = (bytes + 15) & ~15ull;
    uint64_t to_end = header->log_size - (header->log_head & (header->log_size - 1));
    uint64_t need = bytes <= to_end ? bytes : to_end + bytes;
    while (header->log_head + need - __atomic_load_n(&control->log_ack, __ATOMIC_ACQUIRE) > header->log_size)
        usleep(500);
    char *ring = base + header->log_offset;
    uint64_t head = header->log_head, mask = header->log_size - 1;
    *position = head + need - bytes;
    __atomic_store_n(&header->log_head, head + need, __ATOMIC_RELEASE);
    if (need != bytes) {
        struct ht_log_entry *pad = (void *)(ring + (head & mask));
        *pad = (struct ht_log_entry){.bytes = (uint32_t)to_end, .type = HT_LOG_PAD};
        __atomic_store_n(&pad->stamp, ht_log_stamp(head), __ATOMIC_RELEASE);
    }
    struct ht_log_entry *entry = (void *)(ring + (*position & mask));
    __atomic_store_n(&entry->stamp, 0, __ATOMIC_RELAXED);
    entry->bytes = (uint32_t)bytes;
    return entry;
}

static void log_publish(struct ht_log_entry *entry, uint64_t position) {
    __atomic_store_n(&entry->stamp, ht_log_stamp(position), __ATOMIC_RELEASE);
}

// Frame i of stack ID, leaf first: what the test expects, too.
static uint64_t pc_of(uint32_t id, uint32_t i, uint32_t depth) {
    return 0x400000 + (i + 4 < depth ? id * 4096ull : 0) + i * 16;
}

static void log_module(void) {
    static const char build_id[20] = "twenty bytes of id..";
    uint64_t position;
    struct ht_log_module *m = log_reserve(sizeof *m + sizeof(struct ht_phdr) + 24, &position);
    m->entry.type = HT_LOG_MODULE;
    m->entry.flags = 0;
    m->entry.id = 1;
    m->start = 0x400000, m->end = 0x80000000, m->bias = 0;
    m->seen_boottime_ns = ht_sys_boottime_ns();
    m->phnum = 1, m->build_id_bytes = sizeof build_id, m->path_bytes = 0, m->flags = HT_MODULE_MAIN;
    *(struct ht_phdr *)(m + 1) = (struct ht_phdr){.type = 1, .flags = 5, .memsz = 0x80000000 - 0x400000};
    memcpy((char *)(m + 1) + sizeof(struct ht_phdr), build_id, sizeof build_id);
    log_publish(&m->entry, position);
}

static void log_stack(uint32_t id) {
    uint64_t position;
    struct ht_log_stack *stack = log_reserve(sizeof *stack + settings.depth * 8ull, &position);
    stack->entry.type = HT_LOG_STACK;
    stack->entry.flags = 0;
    stack->entry.id = id;
    stack->depth = settings.depth;
    for (uint32_t i = 0; i < settings.depth; i++) stack->pcs[i] = pc_of(id, i, settings.depth);
    log_publish(&stack->entry, position);
}

// The id of one of the stacks; each becomes known when it is first met, as in a real program.
static uint32_t stack_id(unsigned which) {
    uint32_t id = HT_FIRST_STACK_ID + which % settings.stacks;
    while (__atomic_load_n(&header->next_id, __ATOMIC_ACQUIRE) <= id) {
        pthread_mutex_lock(&log_lock);
        if (header->next_id <= id) {
            log_stack((uint32_t)header->next_id);
            __atomic_store_n(&header->next_id, header->next_id + 1, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&log_lock);
    }
    return id;
}

// ---- Operations -----------------------------------------------------------------------------------------------------

static void *counter(unsigned buffer, uint32_t id) {
    uint32_t *pages = (uint32_t *)(void *)(lane + 1), *page = pages + (id >> HT_GROUP_SHIFT);
    if (!__atomic_load_n(page, __ATOMIC_ACQUIRE)) {
        uint32_t none = 0, fresh = (uint32_t)__atomic_fetch_add(&header->pool_used, HT_BUFFERS * pages_per_run(),
                                                                __ATOMIC_RELAXED) +
                                   1;
        __atomic_compare_exchange_n(page, &none, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    uint64_t run = *page - 1 + buffer * pages_per_run();
    return base + header->pool_offset + run * HT_PAGE + (id & ((1u << HT_GROUP_SHIFT) - 1)) * slot_bytes();
}

static void add(uint64_t *to, uint64_t value) {
    if (settings.shared)
        __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
    else
        ht_add_local(to, value);
}

static uint64_t operation_begin(void) {
    uint64_t epoch;
    if (!settings.shared) {
        __atomic_store_n(&lane->seq, lane->seq + 1, __ATOMIC_RELAXED);
        ht_compiler_barrier();
        return __atomic_load_n(&control->epoch, __ATOMIC_RELAXED);
    }
    for (;;) { // lane 0: entered under the parity that still is the epoch's afterwards
        epoch = __atomic_load_n(&control->epoch, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&lane->inside[epoch & 1], 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&control->epoch, __ATOMIC_SEQ_CST) == epoch) return epoch;
        __atomic_fetch_sub(&lane->inside[epoch & 1], 1, __ATOMIC_SEQ_CST);
    }
}

static void operation_end(uint64_t epoch) {
    if (settings.shared)
        __atomic_fetch_sub(&lane->inside[epoch & 1], 1, __ATOMIC_SEQ_CST);
    else
        __atomic_store_n(&lane->seq, lane->seq + 1, __ATOMIC_RELEASE);
}

// `what`: 0 allocate, 1 free.
static void operate(uint32_t id, uint32_t size, int what) {
    uint64_t epoch = operation_begin(), scale = settings.sampled ? 65536 : 1;
    uint64_t *c = counter((unsigned)(epoch & 1) | __atomic_load_n(&phase, __ATOMIC_RELAXED), id);
    add(&c[2 * what], size);
    if (settings.freeze && self == 0 && what == 0 && next_random() % 4096 == 0) usleep(300000);
    if (settings.abandon && self == 0 && what == 1) pause();
    add(&c[2 * what + 1], scale);
    if (settings.sampled && !settings.shared) {
        struct ht_sampled_counter *s = (void *)c;
        *(what ? &s->free_variance : &s->alloc_variance) += size;
        *(what ? &s->free_samples : &s->alloc_samples) += 1;
    }
    add(what ? &lane->total_free_bytes : &lane->total_alloc_bytes, size);
    operation_end(epoch);
    if (truth) {
        __atomic_store_n(&truth[self][2 * what], truth[self][2 * what] + size, __ATOMIC_RELAXED);
        __atomic_store_n(&truth[self][2 * what + 1], truth[self][2 * what + 1] + scale, __ATOMIC_RELAXED);
    }
}

static void free_block(uint64_t block) {
    if (block) operate((uint32_t)(block >> 32), (uint32_t)block, 1);
}

static void damage_books(void) {
    random_state = settings.damage * 0x9e3779b97f4a7c15ull | 1;
    // Words of the header behind the checked layout, of lane heads, of page tables, of the log, of the pool's beginning.
    uint64_t ranges[][2] = {{offsetof(struct ht_books_header, interval), sizeof *header},
                            {header->lanes_offset, header->lanes_offset + 4 * HT_PAGE},
                            {header->log_offset, header->log_offset + 8192},
                            {header->pool_offset, header->pool_offset + 64 * HT_PAGE},
                            {0, sizeof *header}};
    for (unsigned n = 1 + (unsigned)(next_random() % 40); n; n--) {
        uint64_t *range = ranges[next_random() % 5];
        uint64_t at = (range[0] + next_random() % (range[1] - range[0])) & ~7ull, value = next_random();
        value = n % 3 == 0 ? value : n % 3 == 1 ? value % 64 : 1ull << value % 64;
        __atomic_store_n((uint64_t *)(void *)(base + at), value, __ATOMIC_RELAXED);
    }
}

static void *work(void *number) {
    self = (unsigned)(uintptr_t)number;
    random_state = 0x1234567 + self * 77777;
    uint64_t tid = (uint64_t)ht_sys_gettid();
    lane = lane_at(settings.shared ? 0 : 1 + self);
    if (!settings.shared) __atomic_store_n(&lane->owner_tid, tid, __ATOMIC_RELAXED);
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        uint64_t r = next_random();
        uint32_t id = stack_id((unsigned)(r >> 20) % (1 + (unsigned)(r >> 50) % settings.stacks)),
                 size = 1 + (uint32_t)r % 1000;
        operate(id, size, 0);
        uint64_t block = (uint64_t)id << 32 | size;
        free_block(__atomic_exchange_n(&mailboxes[r >> 8 & (MAILBOXES - 1)], block, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

// ---- Its life -------------------------------------------------------------------------------------------------------

static void read_settings(char **argv) {
    for (; *argv; argv++) {
        char *value = strchr(*argv, '=') ? strchr(*argv, '=') + 1 : *argv;
        unsigned long number = strtoul(value, NULL, 10);
        if (!strncmp(*argv, "mode=", 5)) settings.sampled = !strcmp(value, "sampled");
        if (!strncmp(*argv, "threads=", 8)) settings.threads = (unsigned)number;
        if (!strncmp(*argv, "shared=", 7)) settings.shared = number;
        if (!strncmp(*argv, "freeze=", 7)) settings.freeze = number;
        if (!strncmp(*argv, "abandon=", 8)) settings.abandon = number;
        if (!strncmp(*argv, "ms=", 3)) settings.ms = (unsigned)number;
        if (!strncmp(*argv, "stacks=", 7)) settings.stacks = (unsigned)number;
        if (!strncmp(*argv, "depth=", 6)) settings.depth = (unsigned)number;
        if (!strncmp(*argv, "resident=", 9)) settings.resident = (unsigned)number;
        if (!strncmp(*argv, "log=", 4)) settings.log_bytes = number;
        if (!strncmp(*argv, "damage=", 7)) settings.damage = number;
        if (!strncmp(*argv, "end=", 4)) settings.end = value;
        if (!strncmp(*argv, "truth=", 6)) settings.truth = value;
    }
}

static void map_truth(void) {
    int fd = settings.truth ? open(settings.truth, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, sizeof *truth * MAX_THREADS)) return;
    truth = mmap(NULL, sizeof *truth * MAX_THREADS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
}

static void be_resident(void) {
    size_t bytes = (size_t)settings.resident << 20;
    char *memory = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, bytes, MADV_NOHUGEPAGE)) exit(97);
    for (size_t at = 0; at < bytes; at += HT_PAGE) memory[at] = 1;
}

static bool ends_by(const char *how) { return !strcmp(settings.end, how); }

static void free_everything(void) {
    for (unsigned i = 0; i < MAILBOXES; i++) free_block(__atomic_exchange_n(&mailboxes[i], 0, __ATOMIC_ACQ_REL));
}

static void finish(void) {
    if (ends_by("shutdown")) {
        __atomic_store_n(&phase, 2, __ATOMIC_SEQ_CST);
        __atomic_store_n(&header->shutdown_mark_ns, ht_sys_boottime_ns(), __ATOMIC_RELEASE);
        self = settings.threads; // its own row of the truth: what was freed after the mark
        lane = lane_at(settings.shared ? 0 : 1);
        free_everything();
    }
    if (ends_by("exec")) execl("/proc/self/exe", "fake_agent", "ms=50", NULL);
    if (ends_by("exec-unregistered")) execl("/bin/sleep", "sleep", "1", NULL);
    if (ends_by("stay")) pause();
}

int main(int argc, char **argv) {
    (void)argc;
    pthread_t threads[MAX_THREADS];
    read_settings(argv + 1);
    map_truth();
    be_resident();
    int books = create_books();
    header->lanes_used = settings.shared ? 1 : 1 + settings.threads;
    log_module();
    hand_over(books);
    for (unsigned i = 0; i < settings.threads; i++) pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
    usleep(settings.ms * 1000);
    if (settings.damage) {
        damage_books();
        usleep(20000);
        _exit(0); // threads may wait for acknowledgements that never come
    }
    if (ends_by("kill")) raise(SIGKILL);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (unsigned i = settings.abandon; i < settings.threads; i++) pthread_join(threads[i], NULL);
    finish();
    return 7;
}
