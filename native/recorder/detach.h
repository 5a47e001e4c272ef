// SPDX-License-Identifier: Apache-2.0
// detach.h: becoming a process that has nothing in common with the program's terminal, directory and descriptors.
#ifndef HEAPTIDE_DETACH_H
#define HEAPTIDE_DETACH_H

#include "util.h"

// Closes every descriptor from 3 on but those in `keep` (negative ones are passed over).
void close_others(const int *keep, size_t count);
void null_descriptors(int from, int to); // /dev/null on from..to
// Own session, directory /, nice 5, SCHED_OTHER, soft limits raised to the hard ones, default signal dispositions.
void detach(void);
// fork() whose child's end sends no SIGCHLD: neither this program's handlers nor those of the one it becomes hear of it.
// Wait for it with __WALL.
pid_t fork_unheard(void);

#endif
