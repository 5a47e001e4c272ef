// SPDX-License-Identifier: Apache-2.0
// cut.h: a moment in a running program at which one buffer of counters comes to rest, without the program waiting for it.
//
//   epoch + 1 -> membarrier -> every operation that may still use the old epoch is over -> the old epoch's buffer rests
//
// After the barrier every thread that begins an operation sees the new epoch, and every thread that loaded the old one has
// its lane's odd `seq` (or lane 0's `inside` count) in memory, where we see it. So it is enough to wait for those.
#ifndef HEAPTIDE_CUT_H
#define HEAPTIDE_CUT_H

#include "books_reader.h"
#include "util.h"

struct cut {
    uint64_t epoch; // as the control page has it
    bool pending;   // begun, and some operation has not ended yet
    bool late;      // it took longer than CUT_PATIENCE_NS
    bool marked;    // the shutdown mark stood before the epoch changed: buffers 0 and 1 rest for good
    uint16_t kind;  // enum ht_snapshot_kind of what is to be written
    struct moment at;
    uint64_t in_use; // the lanes' own totals when it began: the measure of growth between cuts
    uint64_t *seen;  // by lane: seq when it began
    uint64_t *left;  // by lane: seq of an operation that was given up (odd), else 0
    uint32_t lanes;
};

bool cut_init(struct cut *cut, const struct books *books);
void cut_deinit(struct cut *cut);

void cut_begin(struct cut *cut, const struct books *books, uint16_t kind);
// True when the buffer of the old epoch is at rest; cut->pending is then false.
bool cut_poll(struct cut *cut, const struct books *books);
// Polls with short sleeps, for at most CUT_PATIENCE_NS; afterwards the cut is left pending and late.
bool cut_wait(struct cut *cut, const struct books *books);

// Gives up the lanes whose thread left its operation for good (a longjmp out of a signal handler) and has made no other
// since: those that `is_left` says so of. Without this one such thread would hold up every snapshot from then on.
void cut_abandon(struct cut *cut, const struct books *books, bool (*is_left)(void *data, uint64_t tid), void *data);

// The buffer (0 or 1) that the last cut brought to rest.
static inline uint32_t cut_buffer(const struct cut *cut) { return (uint32_t)(cut->epoch - 1) & 1; }

// Bytes in use by the lanes' totals; not part of a cut, read at any moment.
uint64_t lanes_in_use(const struct books *books);
// Whether any lane stands inside an operation: in a dead process, one that was never finished.
bool lanes_inside(const struct books *books);

#define CUT_PATIENCE_NS (20 * (uint64_t)NS_PER_MS)

#endif
