// SPDX-License-Identifier: Apache-2.0
// server.h: the recorder's loop: registrations, deaths, signals, the caller's word, and a tick for every image.
#ifndef HEAPTIDE_SERVER_H
#define HEAPTIDE_SERVER_H

#include "image.h"
#include "options.h"
#include "output.h"

struct server_setup {
    const struct options *options;
    const struct output *output;
    int listen_fd;
    const char *address; // what children of the program have in HEAPTIDE_SOCKET
    int control_fd;      // see below; -1: none
    const char *program; // path or name of what registers first, if it is gone before it can be looked at
    int watch_pid;       // a process that keeps the recorder waiting even before it registers; 0: none
};

// The control socket. The caller sends lines: "started PID", "ended PID WAIT_STATUS". When it shuts down its side, it is
// sent one line of JSON for each capture that is finished, at once or when it comes to be, and after a second one for each
// that goes on ("cause": "running"). The recorder closes its side when nothing is left to record.

// Serves until nothing is left to do. Signals are blocked from here on.
void server_run(const struct server_setup *setup);

#endif
