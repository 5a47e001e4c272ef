// SPDX-License-Identifier: Apache-2.0
// clock.h: what time it is. All that the recorder schedules or stamps asks here.
//
// The clock can be injected, for tests (--clock-fd N): a month then passes in a second. N is one end of a
// SOCK_SEQPACKET pair; whoever holds the other, the driver, sends requests and waits for each answer:
//
//   driver (the program itself, or a test)        recorder
//   struct clock_request  ------------------->    both clocks are put forward; every image does what is due now
//   struct clock_answer   <-------------------    once that is done and no snapshot waits for a thread
//
// The clock is the system's plus what was put forward. So it goes on in real time between two requests, and every
// timeout of the recorder still ends where nobody drives any more. It only ever goes forward; the wall clock may be
// set either way. An agent knows nothing of this: its stamps are the system's, and are moved by clock_moved() when
// they are read.
#ifndef HEAPTIDE_RECORDER_CLOCK_H
#define HEAPTIDE_RECORDER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

// A moment on both clocks, read as close together as two calls allow.
struct moment {
    uint64_t realtime_ns;
    uint64_t boottime_ns;
};
struct moment moment_now(void);
// The moment at `boottime_ns`, with the wall clock as it stands to the other clock now.
struct moment moment_at(uint64_t boottime_ns);
// What the agent stamped with the system's clocks, since the last request, in the recorder's time.
struct moment clock_moved(struct moment by_system);

// ---- The injected clock ---------------------------------------------------------------------------------------------

struct clock_request {
    uint64_t forward_ns;      // both clocks
    int64_t realtime_jump_ns; // the wall clock alone, as if somebody set it
};

struct clock_answer {
    uint64_t boottime_ns;
    uint64_t realtime_ns;
    uint64_t snapshots; // written so far, of all captures that are being made
};

void clock_inject(int fd); // taken over
int clock_fd(void);        // to be polled for POLLIN; -1: nobody drives
// Takes a request if one has come. True: one is under way, from now until clock_answer().
bool clock_hear(void);
void clock_obey(void); // puts the clocks forward, once for each request
void clock_answer(uint64_t snapshots);

#endif
