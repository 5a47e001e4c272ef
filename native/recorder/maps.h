// SPDX-License-Identifier: Apache-2.0
// maps.h: what lies where in the program's address space, as /proc/PID/maps tells it. Reading that walks no page tables.
//
// The kernel joins neighbours of equal rights, whoever made them, so the lines are cut where the books know of ranges: the
// agent's own memory and what the program mapped itself. What is anonymous, nobody's by name and nobody's by the books has
// no other owner than the allocator (docs/design/0008-the-ledger.md has the exceptions and what becomes of them).
#ifndef HEAPTIDE_MAPS_H
#define HEAPTIDE_MAPS_H

#include "util.h"

enum extent_kind {
    EXTENT_HEAP,   // the allocator's: its blocks, its free memory, its own books
    EXTENT_MAPPED, // the program's own mappings; `id` is the stack that made them
    EXTENT_STACK,
    EXTENT_CODE, // the program and its libraries: text, data and zeroed data
    EXTENT_FILE, // other mapped files
    EXTENT_SHARED,
    EXTENT_AGENT, // heaptide's own, in the program
    EXTENT_OTHER, // small anonymous pieces: the loader's, mostly
    EXTENT_KINDS
};

struct extent {
    uint64_t start, end;        // addresses
    uint64_t resident, swapped; // bytes, once measured
    uint64_t inode;             // 0: no file
    uint32_t kind, id;
    bool guard; // no access: reserved, or a guard in front of a stack
    bool executable;
    bool is_break; // named [heap]: what sbrk moves
};

// Ascending, without overlaps. Correct when zeroed.
struct extents {
    struct extent *items;
    size_t count, cap;
    bool failed; // no memory: incomplete
};
void extents_deinit(struct extents *extents);

// Reads all of a maps file from its beginning. False: unreadable, or the address space is gone.
bool maps_fetch(int fd, struct buf *ret);
// The lines of such a file, NUL at its end, as extents. Takes the text apart; passes over what is no such line.
void maps_parse(char *text, struct extents *ret);

// A range that the books know of.
struct owned {
    uint64_t start, end;
    uint32_t kind, id;
};
// Cuts extents where an owned range begins or ends, and gives what lies inside to the owner. `owned` ascends without overlaps.
void extents_give(struct extents *extents, const struct owned *owned, size_t count);

#endif
