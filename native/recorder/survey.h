// SPDX-License-Identifier: Apache-2.0
// survey.h: reads a capture that is to be made shorter, and finds what each of its snapshots is worth and takes.
#ifndef HEAPTIDE_SURVEY_H
#define HEAPTIDE_SURVEY_H

#include "format.h"
#include "rows.h"
#include "thin.h"
#include "weights.h"

// ---- The records of a file, one after the other ---------------------------------------------------------------------

struct walk {
    int fd;
    uint64_t at, end;  // where the next record begins, and the last ends
    struct buf record; // with its head
    struct ht_record head;
    const char *problem; // why there is no next one, before the end
    bool checked;        // it was walked to its end once, so checksums are right
};
void walk_init(struct walk *walk, int fd, uint64_t bytes);
void walk_deinit(struct walk *walk);
void walk_rewind(struct walk *walk);
bool walk_next(struct walk *walk); // false: at the end, or a problem
static inline const uint8_t *walk_payload(const struct walk *walk) { return walk->record.data + sizeof walk->head; }
// The snapshot that a record tells of besides its counters (MEMORY, AGENT ...); 0: none.
uint32_t walk_beside(const struct walk *walk);

// ---- Ids by their place among those that occur ----------------------------------------------------------------------

struct places {
    uint64_t *bits;   // of the ids that occur
    uint32_t *before; // how many of them lie below each word
    uint32_t max_id, count;
};
static inline uint32_t place_of(const struct places *p, uint32_t id) {
    uint64_t below = p->bits[id / 64] & ((1ull << id % 64) - 1);
    return p->before[id / 64] + (uint32_t)__builtin_popcountll(below);
}

// ---- What there is --------------------------------------------------------------------------------------------------

struct taken {
    uint64_t bytes;      // all of it
    uint64_t head_bytes; // without the rows; with the records beside it
    uint32_t row_bytes;  // of one row, on average
    bool partial;        // it has heavy stacks only
};

struct survey {
    struct places places;
    bool *heavy;         // by place
    struct past *past;   // the snapshots
    struct taken *taken; // what they take
    uint32_t count;
    uint64_t beside_bytes; // what is not of snapshots: stacks, mostly
    uint32_t *rank;        // by snapshot, see thin.h
    struct savings savings;
};

struct survey_request {
    const struct weights *weights;
    uint32_t max_id;
    uint64_t newest_bytes; // so much of the newest snapshots, and so many, stay as they are
    uint32_t newest_most;
    uint64_t moments_bytes; // for those that are worth more than others, which stay as well; 0: none of them
};
// NULL, or what is wrong with the file.
const char *survey_init(struct survey *survey, struct walk *walk, const struct survey_request *request);
void survey_deinit(struct survey *survey);

#endif
