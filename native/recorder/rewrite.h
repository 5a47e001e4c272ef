// SPDX-License-Identifier: Apache-2.0
// rewrite.h: makes a capture shorter. A new file is written beside it, with fewer snapshots of the past, and takes its name
// when it is safe on the disk; killed at any point, one whole capture is there under the name.
#ifndef HEAPTIDE_REWRITE_H
#define HEAPTIDE_REWRITE_H

#include "weights.h"
#include "writer.h"

struct rewrite {
    struct writer *writer; // its file exists
    const struct weights *weights;
    uint32_t max_id;       // stack ids are from 1 to this
    uint64_t target_bytes; // how long it may be
    uint32_t most_snapshots;
    void (*alive)(void *data); // called now and then
    void *data;
    // Results: snapshots that are left; bytes that were not of snapshots before, which no thinning makes fewer.
    uint32_t kept;
    uint64_t beside_bytes;
};

// NULL: done. Else why not; the file is as it was.
const char *rewrite_file(struct rewrite *rewrite);

#endif
