// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "books_reader.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
    MAX_IDS = 1 << 24,
    MAX_LANES = 1 << 14,
};
static const uint64_t MAX_LOG = 1ull << 30;

static bool fits(uint64_t offset, uint64_t bytes, uint64_t total) { return offset <= total && bytes <= total - offset; }

// NULL when the copied layout is sound, else what is not.
static const char *check_layout(const struct books *b, const struct ht_books_header *h, uint64_t total) {
    if (h->mode != HT_MODE_SAMPLED && h->mode != HT_MODE_EXACT) return "unknown mode";
    if (h->slot_shift != (h->mode == HT_MODE_EXACT ? 5 : 6)) return "counters of another size";
    if (b->max_ids < 1u << HT_GROUP_SHIFT || b->max_ids > MAX_IDS) return "max_ids out of range";
    if (b->group_count != b->max_ids >> HT_GROUP_SHIFT) return "group_count disagrees with max_ids";
    if (b->lane_count < 1 || b->lane_count > MAX_LANES) return "lane_count out of range";
    if (b->lane_stride % 8 || b->lane_stride < sizeof(struct ht_lane) + 4ull * b->group_count) return "lane_stride";
    uint64_t first = HT_CONTROL_OFFSET + HT_PAGE;
    if (b->lanes_offset % 64 || b->lanes_offset < first) return "lanes_offset";
    if (!fits(b->lanes_offset, (uint64_t)b->lane_count * b->lane_stride, total)) return "lanes beyond the end";
    if (b->log_size < HT_PAGE || b->log_size > MAX_LOG || (b->log_size & (b->log_size - 1))) return "log_size";
    if (b->log_offset % 16 || b->log_offset < first || !fits(b->log_offset, b->log_size, total)) return "log_offset";
    if (b->pool_offset < first || b->pool_pages > total / HT_PAGE) return "pool_offset";
    if (!fits(b->pool_offset, b->pool_pages * HT_PAGE, total)) return "pool beyond the end";
    if (!fits(b->own_offset, b->own_slots * sizeof(struct ht_range), total)) return "own_slots";
    if (!fits(b->regions_offset, b->region_slots * sizeof(struct ht_range), total)) return "region_slots";
    if (!fits(b->samples_offset, b->sample_slots * sizeof(struct ht_live_sample), total)) return "sample_slots";
    return NULL;
}

static void copy_header(struct books *b, const struct ht_books_header *h) {
    b->mode = h->mode;
    b->lane_count = h->lane_count;
    b->lane_stride = h->lane_stride;
    b->max_ids = h->max_ids;
    b->group_count = h->group_count;
    b->lanes_offset = h->lanes_offset;
    b->log_offset = h->log_offset;
    b->log_size = h->log_size;
    b->pool_offset = h->pool_offset;
    b->pool_pages = h->pool_pages;
    b->own_offset = h->own_offset;
    b->own_slots = h->own_slots;
    b->regions_offset = h->regions_offset;
    b->region_slots = h->region_slots;
    b->samples_offset = h->samples_offset;
    b->sample_slots = h->sample_slots;
    b->run_bytes = (1u << HT_GROUP_SHIFT) * (h->mode == HT_MODE_EXACT ? 32 : 64);
    b->flags = h->flags;
    b->pid = h->pid;
    b->parent_pid = h->parent_pid;
    b->started_realtime_ns = h->started_realtime_ns;
    b->started_boottime_ns = h->started_boottime_ns;
    memcpy(b->agent_version, h->agent_version, sizeof b->agent_version);
    b->agent_version[sizeof b->agent_version - 1] = 0;
}

static const char *open_books(struct books *b, uint64_t announced_bytes) {
    struct stat st;
    int seals = fcntl(b->fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS) return "not sealed";
    if (fstat(b->fd, &st) || st.st_size < 0) return "no size";
    uint64_t total = (uint64_t)st.st_size;
    if (total != announced_bytes || total < HT_CONTROL_OFFSET + HT_PAGE) return "size is not the announced one";
    struct ht_books_header h; // the one copy; what the mapping says later is never used for the layout
    if (pread(b->fd, &h, sizeof h, 0) != sizeof h) return "unreadable";
    if (h.magic != HT_BOOKS_MAGIC) return "no books (magic)";
    if (h.version != HT_BOOKS_VERSION || h.header_bytes != sizeof h) return "books of another version";
    if (h.total_bytes != total) return "total_bytes disagrees with the size";
    copy_header(b, &h);
    const char *why = check_layout(b, &h, total);
    if (why) return why;
    b->map_bytes = b->lanes_offset + (uint64_t)b->lane_count * b->lane_stride;
    void *map = mmap(NULL, b->map_bytes, PROT_READ, MAP_SHARED, b->fd, 0);
    if (map == MAP_FAILED) return "cannot be mapped";
    b->map = map;
    void *control = mmap(NULL, HT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, HT_CONTROL_OFFSET);
    if (control == MAP_FAILED) return "control page cannot be mapped";
    b->control = control;
    return NULL;
}

bool books_init(struct books *b, int fd, uint64_t announced_bytes, const char **ret_why) {
    *b = (struct books){.fd = fd};
    *ret_why = open_books(b, announced_bytes);
    if (*ret_why) books_deinit(b);
    return !*ret_why;
}

void books_deinit(struct books *b) {
    if (b->map) munmap((void *)(uintptr_t)b->map, b->map_bytes);
    if (b->control) munmap(b->control, HT_PAGE);
    if (b->fd >= 0) close(b->fd);
    *b = (struct books){.fd = -1};
}

uint32_t books_lanes_used(const struct books *b) {
    return (uint32_t)min_u64(load_acquire(&books_live(b)->lanes_used), b->lane_count);
}

uint32_t books_groups_used(const struct books *b) {
    uint64_t ids = min_u64(load_acquire(&books_live(b)->next_id), b->max_ids);
    return (uint32_t)min_u64((max_u64(ids, HT_FIRST_STACK_ID) + (1u << HT_GROUP_SHIFT) - 1) >> HT_GROUP_SHIFT,
                             b->group_count);
}

uint32_t books_group_page(const struct books *b, uint32_t lane, uint32_t group) {
    const uint32_t *pages = (const uint32_t *)(const void *)(books_lane(b, lane) + 1);
    return __atomic_load_n(pages + group, __ATOMIC_ACQUIRE);
}

static bool pread_all(int fd, void *ret, size_t bytes, uint64_t offset) {
    uint8_t *p = ret;
    while (bytes) {
        ssize_t n = pread(fd, p, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

bool books_read_run(const struct books *b, uint32_t page, uint32_t buffer, void *ret) {
    uint64_t run_pages = b->run_bytes / HT_PAGE;
    if (!page || (uint64_t)page - 1 + HT_BUFFERS * run_pages > b->pool_pages) return false;
    return pread_all(b->fd, ret, b->run_bytes, b->pool_offset + (page - 1 + buffer * run_pages) * HT_PAGE);
}

bool books_read_log(const struct books *b, uint64_t pos, void *ret, size_t bytes) {
    uint64_t at = pos & (b->log_size - 1);
    size_t first = (size_t)min_u64(bytes, b->log_size - at);
    return pread_all(b->fd, ret, first, b->log_offset + at) &&
           pread_all(b->fd, (uint8_t *)ret + first, bytes - first, b->log_offset);
}

bool books_read_table(const struct books *b, uint64_t table, void *ret, size_t bytes) {
    return pread_all(b->fd, ret, bytes, table);
}

// ---- SIGBUS: the books' file has a hole where we look, and there is no memory to fill it -----------------------------

static sigjmp_buf *guard;

static void on_bus_error(int sig) {
    if (guard) siglongjmp(*guard, 1);
    signal(sig, SIG_DFL); // not ours: die of it as anybody would
}

bool books_guarded(void (*step)(void *data), void *data) {
    struct sigaction action = {.sa_handler = on_bus_error};
    sigjmp_buf here;
    sigaction(SIGBUS, &action, NULL);
    if (sigsetjmp(here, 1)) {
        guard = NULL;
        return false;
    }
    guard = &here;
    step(data);
    guard = NULL;
    return true;
}
