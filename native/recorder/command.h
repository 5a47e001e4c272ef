// SPDX-License-Identifier: Apache-2.0
// command.h: `heaptide-record -- COMMAND`: the recorder steps aside, COMMAND takes this process.
#ifndef HEAPTIDE_COMMAND_H
#define HEAPTIDE_COMMAND_H

#include "options.h"

enum { STATUS_OURS = 125, STATUS_NOT_EXECUTABLE = 126, STATUS_NOT_FOUND = 127 };

// Returns only when COMMAND could not be executed, or (as PID 1 or a subreaper) when it ended: the exit status.
int command_run(const struct options *options);

#endif
