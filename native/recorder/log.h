// SPDX-License-Identifier: Apache-2.0
// log.h: takes new stacks and modules out of the books' ring and writes them to the capture, in their order. Space in the
// ring is given back (log_ack) only for what the capture has.
#ifndef HEAPTIDE_LOG_H
#define HEAPTIDE_LOG_H

#include "books_reader.h"
#include "encode.h"
#include "weights.h"
#include "writer.h"

enum log_result { LOG_DONE, LOG_NOT_WRITTEN, LOG_DAMAGED };

struct log_reader {
    uint64_t acked;
    struct buf copy;   // of the part of the ring at hand
    struct buf record; // a payload in the making
    struct stack_batch batch;
    struct buf batch_ids;    // uint32_t: the stacks in `batch`
    uint64_t batch_end;      // position behind the last entry in `batch`
    uint8_t *known;          // bit by stack id: written
    uint64_t skipped_bytes;  // in a dead process: never published
    const char *main_path;   // for the main program, whose module entry has none
    struct weights *weights; // are told which stacks count mappings
};

bool log_init(struct log_reader *log, const struct books *books, const char *main_path, struct weights *weights);
void log_deinit(struct log_reader *log);
// Bytes that wait in the ring.
uint64_t log_waiting(const struct log_reader *log, const struct books *books);
// Writes what is published. `dead`: nobody will publish any more, so go on behind what was not.
enum log_result log_drain(struct log_reader *log, const struct books *books, struct writer *writer, bool dead);
bool log_knows(const struct log_reader *log, uint32_t id);

#endif
