// SPDX-License-Identifier: Apache-2.0
// writer.h: one capture on disk. A record is one write; what was not wholly written is taken back, so the file always ends
// at a record's end. An image that is younger than a second is kept in memory: it may leave no file at all.
#ifndef HEAPTIDE_WRITER_H
#define HEAPTIDE_WRITER_H

#include "format.h"
#include "util.h"

#include <limits.h>

// What the name of a capture is made from.
struct capture_name {
    const char *pattern; // the last part of the output's path; {name} and {pid} are replaced
    const char *program; // basename of the program
    int pid;
    bool plain; // without {pid} in the pattern: the pattern as it is may be tried first
};
// The attempt'th name to try (from 0). False: it does not fit `cap`.
bool capture_name_make(const struct capture_name *name, unsigned attempt, char *ret, size_t cap);

struct writer {
    int dir; // the directory that captures go to, not ours to close
    int fd;  // -1 until the file exists
    struct capture_name name;
    struct buf young;        // what has no file yet
    uint64_t bytes;          // length of the file, or of `young`
    uint64_t budget;         // bytes; 0: none
    uint64_t failures;       // writes that failed
    uint16_t sequence;       // of the next record
    int error;               // errno of the last that failed
    char file[NAME_MAX + 1]; // the name it got, "" while there is no file
};

void writer_init(struct writer *writer, int dir, struct capture_name name, uint64_t budget, uint64_t realtime_ns);
void writer_deinit(struct writer *writer);
// False: nothing of it is in the file (or the memory); writer->error says why.
bool writer_append(struct writer *writer, uint16_t type, const struct buf *payload);
// Creates the file, if that was not done, and moves there what was kept in memory.
bool writer_settle(struct writer *writer);
// Removes a file that never got a byte.
void writer_give_up(struct writer *writer);

// A file beside the one that exists, to be filled by writer_append(). It has no name where the file system allows, so that
// nothing is left of it when this process is killed. False: ret->error says why; writer_abandon() all the same.
bool writer_begin_beside(const struct writer *writer, struct writer *ret);
// Brings `other` to the disk and gives it the file's name and place; the old file is gone. False: other->error says why,
// and nothing has changed. Never when the name has come to mean another file.
bool writer_take_place(struct writer *writer, struct writer *other);
void writer_abandon(struct writer *other);

#endif
