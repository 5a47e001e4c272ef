// SPDX-License-Identifier: Apache-2.0
// output.h: where captures go. The directory is opened while the caller's working directory still is ours.
#ifndef HEAPTIDE_OUTPUT_H
#define HEAPTIDE_OUTPUT_H

#include "util.h"

struct output {
    int dir;
    const char *pattern; // last part of the path
    const char *prefix;  // what stood before it, with its slash; "" for none
};

// False with errno: the directory cannot be opened or written in.
bool output_init(struct output *output, const char *path);

#endif
