// SPDX-License-Identifier: Apache-2.0
// process.h: who the program is and whether it still lives. A pid alone names nobody: everything is read through one
// descriptor on /proc/PID, which goes dead with the process and never comes to mean another.
#ifndef HEAPTIDE_PROCESS_H
#define HEAPTIDE_PROCESS_H

#include "util.h"

struct process {
    int pid;
    int pidfd;      // readable at death; -1 before Linux 5.3
    int dir;        // /proc/PID, or -1
    int environ_fd; // reads 0 bytes once the image is gone, by death or exec; -1: unknown
    int rollup_fd;  // the agent's own smaps_rollup: ESRCH once the image is gone; -1: none
    uint64_t start_ticks;
    uint32_t uid;
    uint32_t argc;
    struct buf exe, cwd, argv; // argv: NUL-terminated one by one; the others one string
    char name[256];            // basename of exe, or what is known instead
};

// Takes over `pidfd` (-1: found by `pid`) and `rollup_fd`. `started_boottime_ns`: when the books began; a process that began later is another one.
// `fallback`: path or name of the program, used when it is gone already.
void process_init(struct process *process, int pid, uint32_t uid, int pidfd, int rollup_fd,
                  uint64_t started_boottime_ns, const char *fallback);
void process_deinit(struct process *process);

bool process_is_alive(const struct process *process);
// What became of the image that registered: it lives, its process is ending, or it executes another program.
enum image_fate { IMAGE_LIVES, IMAGE_EXITING, IMAGE_REPLACED };
enum image_fate process_image_fate(const struct process *process);
// Whether the process ended and how, as wait() would say it; false while it cannot be known.
bool process_wait_status(const struct process *process, int *ret);

// Whether a thread sleeps in the kernel of its own will (not stopped, frozen by signal or waiting to run), or is gone.
bool process_thread_sleeps(const struct process *process, uint64_t tid);

// Whether any process that we may look at was given `variable` ("NAME=VALUE") in its environment, or is being executed at
// this moment and may have been.
bool process_may_exist_with(const char *variable);

int process_pidfd(int pid);

#endif
