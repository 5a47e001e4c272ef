// SPDX-License-Identifier: Apache-2.0
// output.h: where captures go. The directory is opened while the caller's working directory still is ours.
#ifndef HEAPTIDE_OUTPUT_H
#define HEAPTIDE_OUTPUT_H

#include "util.h"

struct output {
    int dir;
    const char *pattern; // last part of the path
    char *prefix;        // what stood before it, with its slash; "" for none. Owned
};

// False with errno: the directory cannot be opened or written in.
bool output_init(struct output *output, const char *path);
void output_deinit(struct output *output); // after a failed output_init() as well

// For messages.
static inline const char *output_place(const struct output *output) {
    return output->prefix && *output->prefix ? output->prefix : "the current directory";
}

#endif
