// SPDX-License-Identifier: Apache-2.0
// ages.h: survivors by birth. The agent tells of each live sample in which epoch it was allocated; the recorder knows which
// snapshot each epoch ended with, and now and then writes down how much of what is in use was born before which.
//
// So seldom (when a quarter of the run's length went by since the last time) and so shortly (at most AGES_MOST rows) that all
// of it stays a small part of the capture: some sixty records in a month.
#ifndef HEAPTIDE_AGES_H
#define HEAPTIDE_AGES_H

#include "books_reader.h"
#include "util.h"

enum { AGES_MOST = 4096 };

struct ages {
    struct buf marks;           // struct mark, ascending: which snapshot an epoch ended with
    struct buf blocks;          // the live samples, working memory
    struct buf rows;            // working memory
    uint64_t begun_ns, last_ns; // boottime
    bool final;                 // what was alive when the program began to shut down is written
};

void ages_init(struct ages *ages);
void ages_deinit(struct ages *ages);
// A snapshot was written; the epoch is `epoch` since its cut.
void ages_mark(struct ages *ages, uint64_t epoch, uint32_t number);
bool ages_due(const struct ages *ages, uint64_t now);
// An AGES payload beside snapshot `number`. False: there is nothing to tell.
bool ages_encode(struct ages *ages, const struct books *books, uint32_t number, uint64_t now, struct buf *ret);

#endif
