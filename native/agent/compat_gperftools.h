// SPDX-License-Identifier: Apache-2.0
// compat_gperftools.h: gperftools' HEAPPROFILE: numbered .heap files, written by the program itself, and its C functions.
#ifndef HEAPTIDE_COMPAT_GPERFTOOLS_H
#define HEAPTIDE_COMPAT_GPERFTOOLS_H

#include <stdbool.h>

void ht_heapprofile_name(void);  // HEAPPROFILE is set: what the files are called. Before recording: it calls putenv
void ht_heapprofile_begin(void); // then, when the books are open
void ht_heapprofile_end(void);   // the program's destructors run: the last dump
bool ht_heapprofile_is_on(void);
bool ht_heapprofile_wants_mappings(void); // HEAP_PROFILE_MMAP or HEAP_PROFILE_ONLY_MMAP
void ht_heapprofile_after_fork(void);     // in the child: files and totals of its own

#endif
