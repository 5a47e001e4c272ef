// SPDX-License-Identifier: Apache-2.0
// memory.h: the program's memory as the kernel tells it. statm, status and the cgroup's files cost microseconds;
// smaps_rollup walks the page tables under the program's mmap lock, so it is read at the start and then only when the last
// reading took at most a thousandth of the time since.
#ifndef HEAPTIDE_MEMORY_H
#define HEAPTIDE_MEMORY_H

#include "process.h"
#include "util.h"

struct memory_source {
    int cgroup_dir; // the program's own, -1 when there is none to be read
    bool cgroup_v1;
    uint64_t rollup_read_at; // boottime of the last reading; 0: never
    uint64_t rollup_took_ns;
    bool rollup_gone;
    uint64_t oom_kills_at_start;
};

void memory_init(struct memory_source *source, const struct process *process);
void memory_deinit(struct memory_source *source);
// A MEMORY payload; a dead process has its cgroup's figures only.
void memory_read(struct memory_source *source, const struct process *process, uint32_t snapshot, bool dead,
                 struct buf *ret);
// Whether the cgroup is frozen: its threads seem to sleep (version 2; version 1's freezer shows as state D).
bool memory_is_frozen(const struct memory_source *source);
// How often the cgroup's OOM killer struck since memory_init().
uint64_t memory_oom_kills(const struct memory_source *source);

#endif
