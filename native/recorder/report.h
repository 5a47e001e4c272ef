// SPDX-License-Identifier: Apache-2.0
// report.h: one line of JSON about one capture, for the caller that prints a summary.
#ifndef HEAPTIDE_REPORT_H
#define HEAPTIDE_REPORT_H

#include "image.h"

// Bytes that are not UTF-8 come out as lone surrogates (\udc80 ...), as Python's surrogateescape has them.
void report_image(const struct image *image, const char *prefix, struct buf *ret);
void report_refused(uint64_t refused, struct buf *ret);

#endif
