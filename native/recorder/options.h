// SPDX-License-Identifier: Apache-2.0
// options.h: what the recorder was asked for, by its command line or by HEAPTIDE_* variables (the former wins).
#ifndef HEAPTIDE_OPTIONS_H
#define HEAPTIDE_OPTIONS_H

#include "util.h"

enum form { FORM_COMMAND, FORM_FOLLOW, FORM_SERVE, FORM_ORDER };

struct options {
    enum form form;
    const char *output;  // directory and pattern of the captures' names
    const char *agent;   // NULL: libheaptide.so beside the recorder
    const char *program; // file of what registers first, for when it is gone before it can be looked at
    const char *sample;  // handed on to the agent as it is
    bool exact;
    bool children;
    uint64_t every_ns; // 0: stretched by age, and by growth
    uint64_t budget;   // 0: none
    int signal;
    int listen_fd;  // FORM_FOLLOW
    int control_fd; // FORM_SERVE, -1: none
    int clock_fd;   // clock.h, -1: the system's clocks
    char **command; // FORM_COMMAND
    int order_pid;  // FORM_ORDER, and enum ht_armed of books.h
    uint64_t order_armed;
    struct buf complaints; // NUL-terminated texts: values that could not be read
};

// Reads environment and arguments. Returns -1 to go on, else the exit status (after --help or a mistake).
int options_init(struct options *options, int argc, char **argv);
void options_deinit(struct options *options);

#endif
