// SPDX-License-Identifier: Apache-2.0
// alive.h: when this process dies, by SIGKILL too, the kernel marks the control page of each program that it records.
#ifndef HEAPTIDE_RECORDER_ALIVE_H
#define HEAPTIDE_RECORDER_ALIVE_H

#include "image.h"

// By the thread whose end is the recorder's.
void alive_init(void);
// From now on these are the programs to be told; before one of their books is unmapped.
void alive_tell(struct image *images);
// The recording of this program ends now, whether it lives on or not.
void alive_end(struct image *image);

#endif
