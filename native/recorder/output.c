// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool output_init(struct output *output, const char *path) {
    const char *slash = strrchr(path, '/');
    *output = (struct output){.dir = -1, .pattern = slash ? slash + 1 : path};
    output->prefix = strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    if (!output->prefix) return false;
    if (!*output->pattern) {
        errno = EISDIR;
        return false;
    }
    output->dir = open(*output->prefix ? output->prefix : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return output->dir >= 0 && faccessat(output->dir, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

void output_deinit(struct output *output) {
    if (output->dir >= 0) close(output->dir);
    free(output->prefix);
    *output = (struct output){.dir = -1};
}
