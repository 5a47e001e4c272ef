// SPDX-License-Identifier: Apache-2.0
// preflight.h: looks at a program before it is executed: can it be run, and will the agent come along?
#ifndef HEAPTIDE_PREFLIGHT_H
#define HEAPTIDE_PREFLIGHT_H

#include "util.h"

enum preflight_result { PREFLIGHT_GOOD, PREFLIGHT_UNRECORDED, PREFLIGHT_NOT_EXECUTABLE, PREFLIGHT_NOT_FOUND };

// `argv0` as a shell would find it. `ret_message` (at least PREFLIGHT_TEXT bytes): what is wrong and what to do, "" when
// nothing is. PREFLIGHT_UNRECORDED: it can be run, and nothing will be recorded.
enum { PREFLIGHT_TEXT = 4096 + 512 };
// `ret_program` (PATH_MAX bytes): the file that will be executed, a script's interpreter rather than the script; "" if none.
enum preflight_result preflight(const char *argv0, char *ret_message, char *ret_program);

// The agent's library: `given`, or libheaptide.so beside this program. False: it is not there.
bool find_agent(const char *given, char *ret, size_t cap);

#endif
