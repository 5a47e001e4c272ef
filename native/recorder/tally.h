// SPDX-License-Identifier: Apache-2.0
// tally.h: the recorder's own totals, by stack id. What a cut brings to rest is compared with the copy kept of it, and the
// differences are added up; so a total never depends on when which buffer was read, and wrapping counters do no harm.
//
// Two phases are kept apart: until the ordinary shutdown began (buffers 0 and 1) and since (2 and 3).
#ifndef HEAPTIDE_TALLY_H
#define HEAPTIDE_TALLY_H

#include "books_reader.h"
#include "util.h"

enum { PHASES = 2, GROUP_IDS = 1 << HT_GROUP_SHIFT, PHASE_RUN = 1, PHASE_SHUTDOWN = 2, PHASE_BOTH = 3 };

struct totals {
    uint64_t counts[4];  // alloc bytes, alloc objects, free bytes, free objects; objects in 1/65536 when sampled
    double variance[2];  // alloc, free; sampled only
    uint64_t samples[2]; // alloc, free; sampled only
};

struct group_totals {
    uint64_t dirty[GROUP_IDS / 64]; // ids that changed since they were last written
    struct totals ids[GROUP_IDS];
};

struct tally {
    uint32_t mode;
    uint32_t group_count;
    uint32_t lane_count;
    uint32_t run_bytes;
    uint64_t copy_limit; // bytes: copies never outgrow the pool they are copies of
    uint64_t copy_bytes;
    struct group_totals **groups[PHASES];
    uint8_t ***copies;        // [lane][group * HT_BUFFERS + buffer]; NULL: all zeros
    uint64_t (*quiet_seq)[2]; // by lane: seq at the last two cuts
    uint8_t *scratch;
};

bool tally_init(struct tally *tally, const struct books *books);
void tally_deinit(struct tally *tally);

// Takes in the buffers whose bit is set in `buffers`. `dead`: the program is gone, all is at rest, no lane is skipped.
// NULL, or what is wrong with the books.
const char *tally_merge(struct tally *tally, const struct books *books, uint32_t buffers, bool dead);

// The sum of an id's totals over `phases` (PHASE_*).
struct totals tally_of(const struct tally *tally, uint32_t id, uint32_t phases);
// The 64 dirty bits from `word` * 64 on.
uint64_t tally_dirty_word(const struct tally *tally, uint32_t word, uint32_t phases);
void tally_clean(struct tally *tally, uint32_t phases);
// The sum over the ids whose bits are set (one bit for each id that the tally knows).
struct totals tally_sum_of(const struct tally *tally, const uint64_t *ids, uint32_t phases);
struct totals tally_sum(const struct tally *tally, uint32_t phases);

static inline uint32_t tally_words(const struct tally *tally) { return tally->group_count * (GROUP_IDS / 64); }

#endif
