// SPDX-License-Identifier: Apache-2.0
// The rules of when to dump, what the files are called and what the functions promise are gperftools'; its defects are left
// out (DESIGN: Compatibility with gperftools).
#define _GNU_SOURCE
#include "compat_gperftools.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "heap_text.h"
#include "real.h"
#include "record.h"
#include "stacks.h"

enum { PREFIX_BYTES = 4096 };
static char prefix[PREFIX_BYTES];
static bool on;
static uint32_t dumping;        // one dump at a time; a thread that comes meanwhile goes on
static uint32_t dump_requested; // by a signal that could not dump at once
static uint64_t dump_number;

static uint64_t allocated, freed;                                       // bytes, by all threads
static struct { uint64_t allocated, freed, time_ns, high_water; } last; // at the last automatic dump
static uint64_t allocation_interval, deallocation_interval, inuse_interval, time_interval_ns;

bool ht_heapprofile_is_on(void) { return on; }

static bool is_true(struct ht_option_flag option) { return option.set && option.value; }

bool ht_heapprofile_wants_mappings(void) {
    return ht_options.heapprofile.set && (is_true(ht_options.profile_mmap) || is_true(ht_options.only_mmap));
}

static enum ht_text_kinds kinds(void) {
    if (is_true(ht_options.only_mmap)) return HT_TEXT_MAPPINGS;
    return is_true(ht_options.profile_mmap) ? HT_TEXT_BLOCKS | HT_TEXT_MAPPINGS : HT_TEXT_BLOCKS;
}

// ---- Saying something -----------------------------------------------------------------------------------------------------

static void say(const char *a, const char *b, const char *c) {
    const char *parts[] = {"heaptide: ", a, b, c, "\n"};
    char line[1024];
    size_t n = 0;
    for (int i = 0; i < 5; i++) {
        size_t bytes = strlen(parts[i]);
        if (n + bytes > sizeof line) return;
        memcpy(line + n, parts[i], bytes);
        n += bytes;
    }
    ht_sys_write(2, line, n);
}

// ---- Dumping --------------------------------------------------------------------------------------------------------------

static bool file_name(char *ret, size_t bytes) {
    char digits[32], *end = digits + sizeof digits, *number = ht_decimal(end, ++dump_number);
    while (end - number < 4) *--number = '0';
    size_t n = strlen(prefix);
    if (n + (size_t)(end - number) + sizeof "..heap" > bytes) return false;
    memcpy(ret, prefix, n);
    ret[n++] = '.';
    memcpy(ret + n, number, (size_t)(end - number));
    strcpy(ret + n + (end - number), ".heap");
    return true;
}

// The names are predictable, so the file is always a new one: whatever lay there is unlinked, never followed.
static int create(const char *path) {
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    long fd = ht_sys_open(path, flags, 0600);
    if (fd != -EEXIST) return (int)fd;
    ht_sys_unlinkat(AT_FDCWD, path);
    return (int)ht_sys_open(path, flags, 0600);
}

static struct ht_counter *totals_now(struct ht_books *b) { return ht_heap_totals(b, !ht_agent_has_recorder()); }

static void write_dump(const char *reason) {
    char path[PREFIX_BYTES + 32];
    struct ht_books *b = ht_books_now();
    struct ht_counter *totals = b ? totals_now(b) : NULL;
    if (!totals || !file_name(path, sizeof path)) return;
    struct ht_text out = {.fd = create(path)};
    if (out.fd < 0) return say("cannot create ", path, ": the dump is lost, the program goes on");
    if (ht_options.verbose.set && ht_options.verbose.value > 0) say("Dumping heap profile to ", path, reason);
    uint64_t ids = b->header->next_id;
    ht_heap_text_write(&out, totals, (uint32_t)(ids < b->max_ids ? ids : b->max_ids), kinds());
    ht_sys_close(out.fd);
    if (out.failed) say("cannot write ", path, ": it ends where the disk ended");
}

static bool try_begin(void) { return !__atomic_exchange_n(&dumping, 1, __ATOMIC_ACQUIRE); }
static void finish(void) { __atomic_store_n(&dumping, 0, __ATOMIC_RELEASE); }

static uint64_t in_use_now(uint64_t a, uint64_t f) { return a > f ? a - f : 0; }

static const char *reason_to_dump(uint64_t a, uint64_t f) {
    if (__atomic_load_n(&dump_requested, __ATOMIC_RELAXED)) return " (signal)";
    if (allocation_interval && a >= last.allocated + allocation_interval) return " (allocated)";
    if (deallocation_interval && f >= last.freed + deallocation_interval) return " (freed)";
    if (inuse_interval && in_use_now(a, f) > last.high_water + inuse_interval) return " (in use)";
    if (time_interval_ns && ht_sys_boottime_ns() >= last.time_ns + time_interval_ns) return " (time)";
    return NULL;
}

static void after_operation(uint64_t more_allocated, uint64_t more_freed) {
    uint64_t a = __atomic_add_fetch(&allocated, more_allocated, __ATOMIC_RELAXED);
    uint64_t f = __atomic_add_fetch(&freed, more_freed, __ATOMIC_RELAXED);
    if (ht_likely(!reason_to_dump(a, f)) || !try_begin()) return;
    const char *reason = reason_to_dump(a, f); // another thread may have dumped for the same one
    if (reason) {
        dump_requested = 0;
        last.allocated = a, last.freed = f, last.time_ns = ht_sys_boottime_ns();
        if (in_use_now(a, f) > last.high_water) last.high_water = in_use_now(a, f);
        write_dump(reason);
    }
    finish();
}

// ---- Starting ---------------------------------------------------------------------------------------------------------------

static void append_pid(void) {
    char digits[16], *end = digits + sizeof digits - 1;
    *end = 0;
    const char *number = ht_decimal(end, (uint64_t)ht_sys_getpid());
    if (strlen(prefix) + strlen(number) + 2 > PREFIX_BYTES) return;
    strcat(strcat(prefix, "_"), number);
}

static uint64_t interval(struct ht_option_number option, uint64_t otherwise) {
    return option.set ? (option.value > 0 ? (uint64_t)option.value : 0) : otherwise;
}

static void clean_up(void) { // files of an earlier run: PREFIX.*.heap
    char folder[PREFIX_BYTES], entries[4096];
    const char *slash = strrchr(prefix, '/'), *name = slash ? slash + 1 : prefix;
    size_t folder_bytes = slash ? (size_t)(slash + 1 - prefix) : 0, name_bytes = strlen(name);
    memcpy(folder, slash ? prefix : ".", folder_bytes ? folder_bytes : 1);
    folder[folder_bytes ? folder_bytes : 1] = 0;
    int fd = (int)ht_sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    for (long n; fd >= 0 && (n = ht_sys_getdents(fd, entries, sizeof entries)) > 0;) {
        for (long at = 0; at < n;) { // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, name
            const char *file = entries + at + 19;
            size_t bytes = strlen(file);
            bool ours = bytes > name_bytes + 6 && !memcmp(file, name, name_bytes) && file[name_bytes] == '.' &&
                        !strcmp(file + bytes - 5, ".heap");
            if (ours) ht_sys_unlinkat(fd, file);
            at += *(const uint16_t *)(entries + at + 16);
        }
    }
    if (fd >= 0) ht_sys_close(fd);
}

static void on_signal(int number) {
    (void)number;
    __atomic_store_n(&dump_requested, 1, __ATOMIC_RELAXED);
    // Inside a dump or an operation of this very thread the totals cannot be taken: the next allocation will do it.
    struct ht_thread *t = ht_tls.thread;
    bool inside = !t || !t->books || t->capturing || (t->lane_number ? t->lane->seq & 1 : 1);
    if (inside || !try_begin()) return;
    int saved = errno;
    __atomic_store_n(&dump_requested, 0, __ATOMIC_RELAXED);
    write_dump(" (signal)");
    finish();
    errno = saved;
}

static void install_signal(void) {
    if (!ht_options.signal.set) {
        if (getenv("HEAPPROFILESIGNAL")) say("HEAPPROFILESIGNAL is no number: no signal dumps", "", "");
        return;
    }
    struct sigaction old, ours = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    int number = (int)ht_options.signal.value;
    if (ht_options.signal.value < 1 || ht_options.signal.value > 64 || sigaction(number, NULL, &old) != 0)
        return say("HEAPPROFILESIGNAL names no signal: no signal dumps", "", "");
    if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)
        return say("HEAPPROFILESIGNAL: that signal has a handler already, which is kept", "", "");
    if (sigaction(number, &ours, NULL) != 0) say("HEAPPROFILESIGNAL: that signal cannot be handled", "", "");
}

static void take_prefix(const char *text) {
    size_t n = strnlen(text, PREFIX_BYTES - 1);
    memcpy(prefix, text, n);
    prefix[n] = 0;
}

static void begin(void) {
    allocation_interval = interval(ht_options.allocation_interval, 1ull << 30);
    deallocation_interval = interval(ht_options.deallocation_interval, 0);
    inuse_interval = interval(ht_options.inuse_interval, 100ull << 20);
    time_interval_ns = interval(ht_options.time_interval, 0) * 1000000000u;
    allocated = freed = 0;
    memset(&last, 0, sizeof last);
    last.time_ns = ht_sys_boottime_ns();
}

static void listen(void) {
    on = true;
    ht_record_listen = after_operation;
}

// A process that we executed finds our PID in the environment and does not write over our files; the shell that execs the
// program in place keeps its PID, and the program its names.
void ht_heapprofile_name(void) {
    static char variable[64] = "HEAPTIDE_HEAPPROFILE_OWNER=";
    take_prefix(ht_options.heapprofile.value);
    bool executed = ht_options.owner.set && ht_options.owner.value != ht_sys_getpid();
    if (executed || (ht_options.use_pid.set && ht_options.use_pid.value)) append_pid();
    if (ht_options.owner.set) return;
    char digits[16], *end = digits + sizeof digits - 1;
    *end = 0;
    strcat(variable, ht_decimal(end, (uint64_t)ht_sys_getpid()));
    putenv(variable);
}

void ht_heapprofile_begin(void) {
    begin();
    if (!ht_books_now() && !ht_agent_start_private()) return say("no memory for a heap profile of ", prefix, "");
    if (!ht_options.cleanup.set || ht_options.cleanup.value) clean_up();
    install_signal();
    listen();
}

void ht_heapprofile_after_fork(void) {
    append_pid();
    dumping = 0, dump_requested = 0, dump_number = 0;
    allocated = freed = 0;
    memset(&last, 0, sizeof last);
    last.time_ns = ht_sys_boottime_ns();
    ht_heap_totals_reset();
}

void ht_heapprofile_end(void) {
    if (!on || !try_begin()) return;
    write_dump(" (Exiting)");
    finish();
}

// ---- The functions of gperftools/heap-profiler.h --------------------------------------------------------------------------

HT_EXPORT void HeapProfilerStart(const char *text);
HT_EXPORT int IsHeapProfilerRunning(void);
HT_EXPORT void HeapProfilerStop(void);
HT_EXPORT void HeapProfilerDump(const char *reason);
HT_EXPORT char *GetHeapProfile(void);

HT_EXPORT void HeapProfilerStart(const char *text) {
    if (on || !text) return;
    take_prefix(text);
    begin();
    ht_heap_totals_reset();
    if (ht_books_now() ? ht_books_now()->mode == HT_MODE_EXACT : ht_agent_start_private()) listen();
}

HT_EXPORT int IsHeapProfilerRunning(void) { return on; }

HT_EXPORT void HeapProfilerStop(void) {
    if (!on || !try_begin()) return;
    on = false;
    ht_record_listen = NULL;
    if (!ht_agent_has_recorder()) ht_agent_stop_private();
    finish();
}

HT_EXPORT void HeapProfilerDump(const char *reason) {
    (void)reason;
    if (!on || !try_begin()) return;
    write_dump(" (requested)");
    finish();
}

HT_EXPORT char *GetHeapProfile(void) {
    struct ht_books *b = ht_books_now();
    struct ht_text out = {.fd = -1};
    if (on && b && try_begin()) {
        struct ht_counter *totals = totals_now(b);
        uint64_t ids = b->header->next_id;
        if (totals) ht_heap_text_write(&out, totals, (uint32_t)(ids < b->max_ids ? ids : b->max_ids), kinds());
        finish();
    }
    char *text = ht_real.realloc(out.memory, out.used + 1);
    if (text) text[out.used] = 0;
    return text;
}
