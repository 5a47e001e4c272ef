// SPDX-License-Identifier: Apache-2.0
// order.h: the switch, from outside: finds the recorder of a process and has it arm or disarm the recording.
#ifndef HEAPTIDE_ORDER_H
#define HEAPTIDE_ORDER_H

#include "options.h"

int order_send(const struct options *options); // FORM_ORDER; the exit status

#endif
