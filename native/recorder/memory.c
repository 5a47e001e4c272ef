// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "memory.h"

#include "format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ROLLUP_SHARE = 1000,     // one part in so many of the time may go into reading smaps_rollup
    ROLLUP_NS_PER_PAGE = 30, // measured: 17 to 29 ns for each resident page of 4 KiB
    ROLLUP_MOST_NS = NS_PER_MS / 2,
};

static void put_figure(struct buf *ret, uint32_t key, uint64_t boottime_ns, uint64_t value) {
    struct ht_rec_figure figure = {.key = key, .boottime_ns = boottime_ns, .value = value};
    buf_put(ret, &figure, sizeof figure);
}

// ---- "Name:   123 kB" lines -----------------------------------------------------------------------------------------

struct line_key {
    const char *name; // with the colon
    uint32_t key;
    uint32_t unit; // what one stands for, bytes or 1
};

static const struct line_key STATUS_LINES[] = {
    {"VmHWM:", HT_FIG_VM_HWM, 1024},
    {"VmRSS:", HT_FIG_VM_RSS, 1024},
    {"RssAnon:", HT_FIG_RSS_ANON, 1024},
    {"RssFile:", HT_FIG_RSS_FILE, 1024},
    {"RssShmem:", HT_FIG_RSS_SHMEM, 1024},
    {"VmData:", HT_FIG_VM_DATA, 1024},
    {"VmStk:", HT_FIG_VM_STK, 1024},
    {"VmExe:", HT_FIG_VM_EXE, 1024},
    {"VmLib:", HT_FIG_VM_LIB, 1024},
    {"VmPTE:", HT_FIG_VM_PTE, 1024},
    {"VmSwap:", HT_FIG_VM_SWAP, 1024},
    {"Threads:", HT_FIG_THREADS, 1},
    {NULL, 0, 0},
};

static const struct line_key ROLLUP_LINES[] = {
    {"Rss:", HT_FIG_ROLLUP_RSS, 1024},
    {"Pss:", HT_FIG_ROLLUP_PSS, 1024},
    {"Shared_Clean:", HT_FIG_ROLLUP_SHARED_CLEAN, 1024},
    {"Shared_Dirty:", HT_FIG_ROLLUP_SHARED_DIRTY, 1024},
    {"Private_Clean:", HT_FIG_ROLLUP_PRIVATE_CLEAN, 1024},
    {"Private_Dirty:", HT_FIG_ROLLUP_PRIVATE_DIRTY, 1024},
    {"Anonymous:", HT_FIG_ROLLUP_ANONYMOUS, 1024},
    {"AnonHugePages:", HT_FIG_ROLLUP_ANON_HUGE, 1024},
    {"Swap:", HT_FIG_ROLLUP_SWAP, 1024},
    {"Locked:", HT_FIG_ROLLUP_LOCKED, 1024},
    {NULL, 0, 0},
};

static const struct line_key MACHINE_LINES[] = {
    {"MemTotal:", HT_FIG_MACHINE_TOTAL, 1024},
    {"MemAvailable:", HT_FIG_MACHINE_AVAILABLE, 1024},
    {NULL, 0, 0},
};

static void put_lines(struct buf *ret, char *text, const struct line_key *keys, uint64_t at) {
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        for (const struct line_key *k = keys; k->name; k++) {
            size_t n = strlen(k->name);
            if (!strncmp(line, k->name, n)) put_figure(ret, k->key, at, strtoull(line + n, NULL, 10) * k->unit);
        }
}

static void put_status(struct buf *ret, const struct process *process) {
    char text[4096];
    if (read_small(process->dir, "status", text, sizeof text) > 0)
        put_lines(ret, text, STATUS_LINES, moment_now().boottime_ns);
}

static void put_machine(struct buf *ret) {
    char text[8192];
    if (read_small(AT_FDCWD, "/proc/meminfo", text, sizeof text) > 0)
        put_lines(ret, text, MACHINE_LINES, moment_now().boottime_ns);
}

// How many pages are resident; 0 when that cannot be known.
static uint64_t put_statm(struct buf *ret, const struct process *process) {
    char text[256];
    unsigned long size, resident, shared, code, lib, data;
    if (read_small(process->dir, "statm", text, sizeof text) <= 0) return 0;
    uint64_t at = moment_now().boottime_ns, page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (sscanf(text, "%lu %lu %lu %lu %lu %lu", &size, &resident, &shared, &code, &lib, &data) != 6) return 0;
    put_figure(ret, HT_FIG_STATM_SIZE, at, size * page);
    put_figure(ret, HT_FIG_STATM_RESIDENT, at, resident * page);
    put_figure(ret, HT_FIG_STATM_SHARED, at, shared * page);
    put_figure(ret, HT_FIG_STATM_DATA, at, data * page);
    return resident;
}

// ---- smaps_rollup ---------------------------------------------------------------------------------------------------

static uint64_t own_cpu_ns(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

// The walk's time is by pages, and by mappings, which the last reading knew of.
static bool is_rollup_short(const struct memory_source *source, uint64_t resident_pages, uint64_t now) {
    uint64_t by_pages = resident_pages * ROLLUP_NS_PER_PAGE;
    if (!resident_pages || max_u64(by_pages, source->rollup_took_ns) > ROLLUP_MOST_NS) return false;
    return !source->rollup_read_at || source->rollup_took_ns <= (now - source->rollup_read_at) / ROLLUP_SHARE;
}

static void put_rollup(struct memory_source *source, struct buf *ret, const struct process *process) {
    char text[4096];
    uint64_t begun = moment_now().boottime_ns, cpu_begun = own_cpu_ns();
    ssize_t n = pread(process->rollup_fd, text, sizeof text - 1, 0);
    uint64_t end = moment_now().boottime_ns;
    source->rollup_gone = n < 0 && errno == ESRCH;
    if (n <= 0) return;
    text[n] = 0;
    source->rollup_read_at = end;
    source->rollup_took_ns = own_cpu_ns() - cpu_begun;
    put_lines(ret, text, ROLLUP_LINES, end);
    put_figure(ret, HT_FIG_ROLLUP_READ_NS, end, end - begun);
}

// ---- The control group ----------------------------------------------------------------------------------------------

static const char *const V2_ROOTS[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", NULL};
static const char *const V1_ROOTS[] = {"/sys/fs/cgroup/memory", NULL};

// Opens ROOT/path where it holds `file`. Where the path is that of another cgroup name space, the root is our own.
static int open_group(const char *const *roots, const char *path, const char *file) {
    for (const char *const *root = roots; *root; root++)
        for (int whole = 1; whole >= 0; whole--) {
            char name[4096];
            snprintf(name, sizeof name, "%s%s", *root, whole ? path : "");
            int dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (dir >= 0 && faccessat(dir, file, R_OK, 0) == 0) return dir;
            if (dir >= 0) close(dir);
        }
    return -1;
}

// The line of /proc/PID/cgroup is "0::PATH" for version 2, "N:memory:PATH" or "N:memory,...:PATH" for version 1.
static void find_group(struct memory_source *source, char *text) {
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line && source->cgroup_dir < 0; line = strtok_r(NULL, "\n", &save)) {
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path || strstr(path, "/../")) continue;
        *path++ = 0;
        bool v2 = !strcmp(line, "0:"), v1 = !strncmp(controllers + 1, "memory", 6);
        if (v2) source->cgroup_dir = open_group(V2_ROOTS, path, "memory.current");
        if (v1) source->cgroup_dir = open_group(V1_ROOTS, path, "memory.usage_in_bytes");
        source->cgroup_v1 = v1;
    }
}

static bool read_number(int dir, const char *file, uint64_t *ret) {
    char text[64];
    if (dir < 0 || read_small(dir, file, text, sizeof text) <= 0) return false;
    *ret = strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
    return true;
}

static bool read_oom_kills(const struct memory_source *source, uint64_t *ret) {
    char text[1024];
    const char *file = source->cgroup_v1 ? "memory.oom_control" : "memory.events";
    if (source->cgroup_dir < 0 || read_small(source->cgroup_dir, file, text, sizeof text) <= 0) return false;
    const char *line = strstr(text, "oom_kill ");
    if (line) *ret = strtoull(line + strlen("oom_kill "), NULL, 10);
    return line;
}

static void put_group(const struct memory_source *source, struct buf *ret) {
    uint64_t value, v1_no_limit = (uint64_t)INT64_MAX & ~4095ull;
    bool v1 = source->cgroup_v1;
    uint64_t at = moment_now().boottime_ns;
    if (read_number(source->cgroup_dir, v1 ? "memory.usage_in_bytes" : "memory.current", &value))
        put_figure(ret, HT_FIG_CGROUP_CURRENT, at, value);
    if (read_number(source->cgroup_dir, v1 ? "memory.limit_in_bytes" : "memory.max", &value))
        put_figure(ret, HT_FIG_CGROUP_MAX, at, v1 && value >= v1_no_limit ? UINT64_MAX : value);
    if (read_oom_kills(source, &value)) put_figure(ret, HT_FIG_CGROUP_OOM_KILL, at, value);
}

// ---- All of it ------------------------------------------------------------------------------------------------------

void memory_init(struct memory_source *source, const struct process *process) {
    char text[8192];
    *source = (struct memory_source){.cgroup_dir = -1};
    if (process->dir >= 0 && read_small(process->dir, "cgroup", text, sizeof text) > 0) find_group(source, text);
    read_oom_kills(source, &source->oom_kills_at_start);
}

void memory_deinit(struct memory_source *source) {
    if (source->cgroup_dir >= 0) close(source->cgroup_dir);
    source->cgroup_dir = -1;
}

void memory_read(struct memory_source *source, const struct process *process, uint32_t snapshot,
                 enum memory_reason reason, struct buf *ret) {
    struct ht_rec_memory head = {.snapshot = snapshot};
    uint64_t pages = 0;
    buf_clear(ret);
    buf_put(ret, &head, sizeof head);
    if (reason != MEMORY_DEAD && process->dir >= 0) {
        pages = put_statm(ret, process);
        put_status(ret, process);
    }
    bool wanted = reason == MEMORY_ASKED ||
                  (reason == MEMORY_ROUTINE && is_rollup_short(source, pages, moment_now().boottime_ns));
    if (wanted && process->rollup_fd >= 0 && !source->rollup_gone) put_rollup(source, ret, process);
    put_group(source, ret);
    put_machine(ret);
}

void memory_finish(struct buf *payload) {
    struct ht_rec_memory *head = (struct ht_rec_memory *)(void *)payload->data;
    if (!payload->failed) head->count = (uint32_t)((payload->len - sizeof *head) / sizeof(struct ht_rec_figure));
}

static uint64_t value_after(const char *text, const char *name) {
    const char *line = strstr(text, name);
    return line ? strtoull(line + strlen(name), NULL, 10) : 0;
}

// What the kernel would give back before it kills anything.
static uint64_t page_cache(const struct memory_source *source) {
    char text[8192];
    if (read_small(source->cgroup_dir, "memory.stat", text, sizeof text) <= 0) return 0;
    return value_after(text, "\nactive_file ") + value_after(text, "\ninactive_file ");
}

bool memory_is_short(const struct memory_source *source) {
    enum { LEAST = 1 << 20, SHARE = 32 };
    bool v1 = source->cgroup_v1;
    uint64_t most, current;
    if (!read_number(source->cgroup_dir, v1 ? "memory.limit_in_bytes" : "memory.max", &most)) return false;
    if (most > (uint64_t)INT64_MAX / 2) return false; // no limit
    if (!read_number(source->cgroup_dir, v1 ? "memory.usage_in_bytes" : "memory.current", &current)) return false;
    uint64_t room = max_u64(LEAST, most / SHARE);
    return current + room > most && current - min_u64(current, page_cache(source)) + room > most;
}

bool memory_is_frozen(const struct memory_source *source) {
    char text[256];
    if (source->cgroup_dir < 0 || read_small(source->cgroup_dir, "cgroup.events", text, sizeof text) <= 0) return false;
    return strstr(text, "frozen 1");
}

uint64_t memory_oom_kills(const struct memory_source *source) {
    uint64_t now = 0;
    return read_oom_kills(source, &now) && now > source->oom_kills_at_start ? now - source->oom_kills_at_start : 0;
}
