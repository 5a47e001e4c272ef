// SPDX-License-Identifier: Apache-2.0
// budget.h: keeps a capture within its share of the disk, for as long as the program runs.
#ifndef HEAPTIDE_BUDGET_H
#define HEAPTIDE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct image;

struct budget {
    uint32_t in_file;     // snapshots
    uint64_t row_bytes;   // of one stack in a snapshot, as the last large one was; 0: there was none
    uint64_t next_try_ns; // no rewriting before this
    uint64_t patience_ns; // until the one after that
    bool noted;
};

void budget_take(struct budget *budget, uint64_t rows, uint64_t bytes); // a snapshot was written
// Whether there is room for one more snapshot, and for a last word after it. Makes the file shorter where there is not.
bool budget_has_room(struct image *image, uint64_t now);
// Whether so many bytes of new stacks fit, and the last word after them.
bool budget_has_room_for(const struct image *image, uint64_t bytes);

#endif
