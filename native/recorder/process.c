// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    NR_PIDFD_OPEN = 434, // the same on every architecture; missing in old headers
    STAT_FIELDS = 52,
    ARGV_LIMIT = 128 << 10,
    ENVIRON_LIMIT = 1 << 20,
};

int process_pidfd(int pid) { return (int)syscall(NR_PIDFD_OPEN, pid, 0); }

// ---- /proc/PID/stat -------------------------------------------------------------------------------------------------

struct stat_line {
    char state;
    uint64_t start_ticks;
    int exit_code;
};

// The second field is the program's name and may hold anything: the fields are counted from its last ')'.
static bool read_stat(int dir, const char *path, struct stat_line *ret) {
    char text[2048];
    if (dir < 0 || read_small(dir, path, text, sizeof text) <= 0) return false;
    char *p = strrchr(text, ')');
    if (!p || p[1] != ' ') return false;
    *ret = (struct stat_line){.state = p[2]};
    char *save = NULL;
    int field = 3;
    for (char *word = strtok_r(p + 2, " \n", &save); word; word = strtok_r(NULL, " \n", &save), field++) {
        if (field == 22) ret->start_ticks = strtoull(word, NULL, 10);
        if (field == STAT_FIELDS) ret->exit_code = atoi(word);
    }
    return field > 22;
}

// ---- Identity -------------------------------------------------------------------------------------------------------

static void read_link(int dir, const char *path, struct buf *ret) {
    char text[4096];
    ssize_t n = readlinkat(dir, path, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    buf_clear(ret);
    buf_put_str(ret, text);
}

static void read_argv(struct process *p) {
    buf_clear(&p->argv);
    p->argc = 0;
    if (!read_whole(p->dir, "cmdline", ARGV_LIMIT, &p->argv) || !p->argv.len) return;
    if (p->argv.data[p->argv.len - 1]) buf_put(&p->argv, "", 1);
    for (size_t i = 0; i < p->argv.len; i++) p->argc += p->argv.data[i] == 0;
}

static void set_name(struct process *p, const char *fallback) {
    const char *exe = (const char *)p->exe.data, *slash = exe ? strrchr(exe, '/') : NULL;
    const char *name = slash && slash[1] ? slash + 1 : exe && *exe ? exe : fallback;
    snprintf(p->name, sizeof p->name, "%s", name);
    char *deleted = strstr(p->name, " (deleted)");
    if (deleted && !deleted[strlen(" (deleted)")]) *deleted = 0;
}

// /proc/PID of the process that the books are of: one that began before they did.
static int open_dir(int pid, uint64_t started_boottime_ns, struct stat_line *ret) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", pid);
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return -1;
    uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
    if (read_stat(dir, "stat", ret) && ret->start_ticks * tick_ns <= started_boottime_ns + tick_ns) return dir;
    close(dir);
    return -1;
}

static void forget_identity(struct process *p) {
    buf_clear(&p->exe);
    buf_clear(&p->cwd);
    buf_clear(&p->argv);
    p->argc = 0;
}

void process_init(struct process *p, int pid, uint32_t uid, int pidfd, int rollup_fd, uint64_t started_boottime_ns,
                  const char *fallback) {
    struct stat_line line = {0};
    *p = (struct process){.pid = pid,
                          .uid = uid,
                          .pidfd = pidfd >= 0 ? pidfd : process_pidfd(pid),
                          .environ_fd = -1,
                          .rollup_fd = rollup_fd};
    p->dir = open_dir(pid, started_boottime_ns, &line);
    if (p->dir < 0 && pidfd < 0 && p->pidfd >= 0 &&
        access("/proc/self/stat", F_OK) == 0) { // gone; its pid may be another's by now
        close(p->pidfd);
        p->pidfd = -1;
    }
    p->start_ticks = line.start_ticks;
    if (p->dir >= 0) {
        p->environ_fd = openat(p->dir, "environ", O_RDONLY | O_CLOEXEC);
        read_link(p->dir, "exe", &p->exe);
        read_link(p->dir, "cwd", &p->cwd);
        read_argv(p);
    }
    char byte;
    if (p->environ_fd >= 0 && pread(p->environ_fd, &byte, 1, 0) != 1) { // empty or unreadable: it tells nothing
        close(p->environ_fd);
        p->environ_fd = -1;
    }
    // The agent's descriptor knows whether all this is of the image that registered, or of the next.
    if (rollup_fd >= 0 && pread(rollup_fd, &byte, 1, 0) < 0 && errno == ESRCH) forget_identity(p);
    if (p->exe.len <= 1) { // nothing, or an empty string: a zombie has no program
        buf_clear(&p->exe);
        buf_put_str(&p->exe, strchr(fallback, '/') ? fallback : "");
    }
    if (!p->cwd.len) buf_put_str(&p->cwd, "");
    set_name(p, fallback);
    if (!p->argc) {
        buf_put_str(&p->argv, p->name);
        p->argc = 1;
    }
}

void process_deinit(struct process *p) {
    int fds[] = {p->pidfd, p->dir, p->environ_fd, p->rollup_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0) close(fds[i]);
    buf_deinit(&p->exe);
    buf_deinit(&p->cwd);
    buf_deinit(&p->argv);
}

// ---- Life and death -------------------------------------------------------------------------------------------------

bool process_is_alive(const struct process *p) {
    if (p->pidfd >= 0) {
        struct pollfd poll_fd = {.fd = p->pidfd, .events = POLLIN};
        return poll(&poll_fd, 1, 0) == 0;
    }
    struct stat_line line;
    return read_stat(p->dir, "stat", &line) && !strchr("ZXx", line.state);
}

enum image_fate process_image_fate(const struct process *p) {
    char byte;
    if (p->environ_fd < 0 || pread(p->environ_fd, &byte, 1, 0) != 0) return IMAGE_LIVES;
    // The address space is gone. One that is being torn down has no program, one that was replaced has another.
    bool exiting = readlinkat(p->dir, "exe", &byte, 1) < 0 && (errno == ENOENT || errno == ESRCH);
    return exiting ? IMAGE_EXITING : IMAGE_REPLACED;
}

bool process_thread_sleeps(const struct process *p, uint64_t tid) {
    char path[64];
    struct stat_line line;
    snprintf(path, sizeof path, "task/%lu/stat", (unsigned long)tid);
    return !read_stat(p->dir, path, &line) || line.state == 'S';
}

// A program that is just being executed (vfork's parent goes on before that is done) has no environment yet: one that began
// after `since` (ticks) may come to have the variable.
static bool is_being_executed(int proc, const char *pid, uint64_t since) {
    char path[64], target;
    struct stat_line line;
    snprintf(path, sizeof path, "%.20s/exe", pid);
    if (readlinkat(proc, path, &target, 1) < 0) return false; // a kernel thread, a zombie, or another user's
    snprintf(path, sizeof path, "%.20s/stat", pid);
    return read_stat(proc, path, &line) && line.start_ticks >= since;
}

static bool may_have(int proc, const char *pid, const char *variable, uint64_t since) {
    char path[64];
    struct buf text = {0};
    snprintf(path, sizeof path, "%.20s/environ", pid);
    bool read = read_whole(proc, path, ENVIRON_LIMIT, &text);
    bool found = read && text.len && memmem(text.data, text.len, variable, strlen(variable) + 1); // and its NUL
    if (read && !text.len) found = is_being_executed(proc, pid, since);
    buf_deinit(&text);
    return found;
}

bool process_may_exist_with(const char *variable) {
    bool found = false;
    struct stat_line own = {0};
    DIR *proc = opendir("/proc");
    if (proc) read_stat(dirfd(proc), "self/stat", &own);
    for (struct dirent *entry; proc && !found && (entry = readdir(proc));)
        found = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
                may_have(dirfd(proc), entry->d_name, variable, own.start_ticks);
    if (proc) closedir(proc);
    return found;
}

// Linux 6.15: how a process ended, of a pidfd, after its parent has waited for it.
struct pidfd_info_v1 {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};
enum { INFO_EXIT = 1 << 3 };

bool process_wait_status(const struct process *p, int *ret) {
    struct stat_line line;
    if (read_stat(p->dir, "stat", &line)) { // a zombie still says it
        *ret = line.exit_code;
        return line.state == 'Z';
    }
    struct pidfd_info_v1 info = {.mask = INFO_EXIT};
    if (p->pidfd < 0 || ioctl(p->pidfd, _IOWR(0xff, 11, struct pidfd_info_v1), &info)) return false;
    *ret = info.exit_code;
    return info.mask & INFO_EXIT;
}
