// SPDX-License-Identifier: Apache-2.0
// image.h: the recording of one process image, from its registration to the END record of its capture.
#ifndef HEAPTIDE_IMAGE_H
#define HEAPTIDE_IMAGE_H

#include "ages.h"
#include "books_reader.h"
#include "budget.h"
#include "cut.h"
#include "log.h"
#include "memory.h"
#include "memory_parts.h"
#include "options.h"
#include "process.h"
#include "tally.h"
#include "weights.h"
#include "writer.h"

enum image_state { IMAGE_RECORDING, IMAGE_ENDING, IMAGE_DONE };

// The stages of the last word; each is tried again, for a while, when the disk refuses it.
enum ending_stage {
    ENDING_MERGE,
    ENDING_LOG,
    ENDING_SHUTDOWN,
    ENDING_EXIT,
    ENDING_NOTES,
    ENDING_AGENT,
    ENDING_END,
    ENDED
};

struct image_numbers { // what a summary says; objects, not 65536ths
    uint64_t in_use_bytes;
    uint64_t in_use_objects;
    uint64_t allocated_bytes;
};

struct image {
    struct image *next;
    const struct options *options;
    enum image_state state;
    bool primary;       // the program that was started directly: it always gets a capture
    bool awaits_status; // somebody is about to tell how it ended
    bool status_known;
    bool last_word_told; // to the caller, while its last record could still not be written
    int wait_status;     // as wait() says it

    struct books books;
    struct process process;
    struct memory_source memory;
    struct parts_source parts;
    struct ages ages;
    struct cut cut;
    struct tally tally;
    struct log_reader log;
    struct writer writer;
    struct weights weights;
    struct rows rows;   // of a snapshot in the making
    struct buf payload; // a record in the making
    struct buf notes;   // severity byte and NUL-terminated text, waiting to be written

    struct moment started;
    uint64_t registered_ns; // boottime, as all below
    uint64_t next_tick_ns;
    uint64_t next_time_ns;    // when the next TIME snapshot is due
    uint64_t retry_ns;        // no snapshot before this: the last could not be written
    uint64_t next_room_ns;    // when to ask next whether its control group has memory left
    uint64_t next_look_ns;    // when to ask next whether the image still exists
    uint64_t next_abandon_ns; // when to ask next whether threads left their operations
    uint64_t dead_ns;         // when it was found dead; 0: not
    uint64_t replaced_ns;     // when it was found to execute another program; 0: not
    uint64_t deadline_ns;     // ending: when to give up
    uint64_t high_in_use;     // by the lanes' totals: highest at a snapshot
    uint64_t last_in_use;

    uint32_t snapshots; // written so far
    bool signalled;     // a snapshot was asked for
    bool shutdown_done; // the SHUTDOWN snapshot is written
    bool gap;           // changes of a snapshot that was not written wait for the next
    struct budget budget;
    bool noted_orphans;
    uint64_t failures_noted;
    uint64_t losses_said[HT_LOSS_COUNT]; // as the last AGENT record has them
    uint64_t memory_said[HT_MEMORY_COUNT];
    uint64_t stacks_said;

    enum ending_stage stage;
    uint32_t cause;
    int32_t status;
    bool inside; // dead with an operation unfinished
    struct moment ended;
    struct image_numbers numbers; // as at the moment "end"
    uint64_t recorder_cpu_ns;     // as the last AGENT record has it
};

struct registration {
    const struct options *options;
    int output_dir;
    const char *pattern; // last part of the output's path
    int pid;
    uint32_t uid;
    int books_fd, rollup_fd, pidfd; // taken over
    uint64_t books_bytes;
    bool primary;
    const char *fallback; // path or name of the program, if it cannot be looked at
};

// NULL, with the reason, when the books are refused or memory is short.
struct image *image_create(const struct registration *registration, const char **ret_why);
void image_destroy(struct image *image);

// Does what is due at `now` (boottime). image->next_tick_ns says when to call again.
void image_tick(struct image *image, uint64_t now);
// Another image took its place in the same process.
void image_replaced(struct image *image);

// recording.c: the records of a capture. Each is false when it could not be written.
bool record_process(struct image *image);
bool record_snapshot(struct image *image, uint16_t kind, struct moment at, uint16_t flags, uint32_t phases);
// Figures and, when something changed, the agent's state.
void record_beside(struct image *image, enum memory_reason reason);
bool record_agent(struct image *image);
bool record_notes(struct image *image);
bool record_end(struct image *image);
enum { NOTE_SAID = 1, NOTE_WARNING = 2 };
__attribute__((format(printf, 3, 4))) void image_note(struct image *image, int severity, const char *format, ...);

#endif
