// SPDX-License-Identifier: Apache-2.0
// agent.h: the life cycle. Start, fork, shutdown; recording begins in a constructor or by HeapProfilerStart.
#ifndef HEAPTIDE_AGENT_H
#define HEAPTIDE_AGENT_H

#include "books.h"
#include "options.h"

extern struct ht_options ht_options; // of this process, as its constructor found them

// Begins exact recording into private memory, for .heap files. False: no memory, or a recording is already on.
bool ht_agent_start_private(void);
void ht_agent_stop_private(void);
bool ht_agent_has_recorder(void);

// main returned or exit was called (once; later calls do nothing).
void ht_agent_shutdown_begins(void);

#endif
