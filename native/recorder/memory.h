// SPDX-License-Identifier: Apache-2.0
// memory.h: the program's memory as the kernel tells it. statm, status and the cgroup's files cost microseconds and take no
// lock of the program's; smaps_rollup walks the page tables under its mmap lock, and whoever maps or unmaps meanwhile
// waits. So it is read unasked only where that is expected to take at most half a millisecond, and when the last reading
// took at most a thousandth of the time since (docs/design/0003-stalls.md).
#ifndef HEAPTIDE_MEMORY_H
#define HEAPTIDE_MEMORY_H

#include "process.h"
#include "util.h"

struct memory_source {
    int cgroup_dir; // the program's own, -1 when there is none to be read
    bool cgroup_v1;
    uint64_t rollup_read_at; // boottime of the last reading; 0: never
    uint64_t rollup_took_ns; // CPU time: a reader that lost its CPU has learnt nothing about the walk
    bool rollup_gone;
    uint64_t oom_kills_at_start;
};

void memory_init(struct memory_source *source, const struct process *process);
void memory_deinit(struct memory_source *source);
// Why figures are read: MEMORY_ASKED was asked for by somebody, who gets smaps_rollup whatever it costs; MEMORY_DEAD is of
// a process that is gone, of which only its cgroup's figures are left.
enum memory_reason { MEMORY_ROUTINE, MEMORY_ASKED, MEMORY_DEAD };
// Begins a MEMORY payload. Other figures may be added (memory_parts.h); memory_finish counts them all.
void memory_read(struct memory_source *source, const struct process *process, uint32_t snapshot,
                 enum memory_reason reason, struct buf *ret);
void memory_finish(struct buf *payload);
// Whether the cgroup is frozen: its threads seem to sleep (version 2; version 1's freezer shows as state D).
// The program's control group has little room left under its limit, the page cache not counted.
bool memory_is_short(const struct memory_source *source);
bool memory_is_frozen(const struct memory_source *source);
// How often the cgroup's OOM killer struck since memory_init().
uint64_t memory_oom_kills(const struct memory_source *source);

#endif
