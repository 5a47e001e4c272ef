// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "image.h"

#include "format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t YOUNG_NS = NS_PER_S;            // a younger image may leave no file
static const uint64_t SETTLE_NS = 250 * NS_PER_MS;    // the program itself has its file after one interval
static const uint64_t RETRY_NS = 250 * NS_PER_MS;     // after a write that failed
static const uint64_t LOOK_NS = 100 * NS_PER_MS;      // between two looks whether the image still exists
static const uint64_t STATUS_NS = 300 * NS_PER_MS;    // how long a parent may take to say how its child ended
static const uint64_t SUCCESSOR_NS = 300 * NS_PER_MS; // how long an executed program may take to register
static const uint64_t ENDING_NS = 5 * NS_PER_S;       // how long the last word is tried on a disk that refuses it
static const uint64_t ABANDON_NS = 2 * NS_PER_S;      // a cut that waits for so long asks what the threads do
static const uint64_t GROWTH_BYTES = 256 << 10;

// ---- Life cycle -----------------------------------------------------------------------------------------------------

static void put_complaints(struct image *image) {
    const struct buf *all = &image->options->complaints;
    for (size_t at = 0; at < all->len; at += strlen((const char *)all->data + at) + 1)
        image_note(image, NOTE_WARNING, "%s", (const char *)all->data + at);
}

static void init_writer(struct image *image, const struct registration *r) {
    struct capture_name name = {
        .pattern = r->pattern, .program = image->process.name, .pid = r->pid, .plain = r->primary};
    writer_init(&image->writer, r->output_dir, name, r->options->budget, image->started.realtime_ns);
}

struct image *image_create(const struct registration *r, const char **ret_why) {
    struct image *image = calloc(1, sizeof *image);
    if (!image || !books_init(&image->books, r->books_fd, r->books_bytes, ret_why)) {
        if (!image) *ret_why = "no memory";
        if (!image) close(r->books_fd);
        if (r->rollup_fd >= 0) close(r->rollup_fd);
        if (r->pidfd >= 0) close(r->pidfd);
        free(image);
        return NULL;
    }
    image->options = r->options;
    image->primary = r->primary;
    process_init(&image->process, r->pid, r->uid, r->pidfd, r->rollup_fd, image->books.started_boottime_ns,
                 r->fallback);
    memory_init(&image->memory, &image->process);
    parts_init(&image->parts, &image->process);
    ages_init(&image->ages);
    image->started = clock_moved((struct moment){image->books.started_realtime_ns, image->books.started_boottime_ns});
    init_writer(image, r);
    bool good = cut_init(&image->cut, &image->books) && tally_init(&image->tally, &image->books);
    good = weights_init(&image->weights, image->books.group_count) && good;
    if (!log_init(&image->log, &image->books, (const char *)image->process.exe.data, &image->weights) || !good) {
        *ret_why = "no memory";
        image_destroy(image);
        return NULL;
    }
    image->registered_ns = moment_now().boottime_ns;
    store_release(&image->books.control->heartbeat_ns, image->registered_ns);
    put_complaints(image);
    record_process(image);
    return image;
}

void image_destroy(struct image *image) {
    log_deinit(&image->log);
    tally_deinit(&image->tally);
    cut_deinit(&image->cut);
    writer_deinit(&image->writer);
    memory_deinit(&image->memory);
    parts_deinit(&image->parts);
    ages_deinit(&image->ages);
    process_deinit(&image->process);
    books_deinit(&image->books);
    buf_deinit(&image->payload);
    weights_deinit(&image->weights);
    rows_deinit(&image->rows);
    buf_deinit(&image->notes);
    free(image);
}

static void begin_ending(struct image *image, uint32_t cause, int32_t status) {
    if (image->state != IMAGE_RECORDING) return;
    image->state = IMAGE_ENDING;
    image->cause = cause;
    image->status = status;
    image->ended = moment_now();
    image->deadline_ns = image->ended.boottime_ns + ENDING_NS;
    image->next_tick_ns = 0;
}

void image_replaced(struct image *image) { begin_ending(image, HT_END_EXEC, 0); }

// The books cannot be believed any more. What is in the capture stays; nothing further is taken from them.
static void books_failed(struct image *image, const char *why) {
    if (image->cause == HT_END_BOOKS) { // for the second time: not even the header can be read
        image->state = IMAGE_DONE;
        return;
    }
    image_note(image, NOTE_WARNING, "recording ended: the program's books are damaged: %s", why);
    image->state = IMAGE_RECORDING;
    begin_ending(image, HT_END_BOOKS, 0);
    image->stage = ENDING_NOTES;
}

// `now` may be older than the image: it is read once a round, before registrations are taken.
static uint64_t age_of(const struct image *image, uint64_t now) {
    return now > image->registered_ns ? now - image->registered_ns : 0;
}

// ---- Snapshots ------------------------------------------------------------------------------------------------------

static void keep_numbers(struct image *image, uint32_t phases) {
    struct totals sum = tally_sum(&image->tally, phases);
    int shift = image->books.mode == HT_MODE_EXACT ? 0 : 16;
    image->numbers.in_use_bytes = sum.counts[0] - sum.counts[2];
    image->numbers.in_use_objects = (sum.counts[1] - sum.counts[3]) >> shift;
}

// The mark as the program wrote it, kept between its start and now.
static struct moment shutdown_moment(const struct image *image) {
    struct moment mark = {.boottime_ns = load_relaxed(&books_live(&image->books)->shutdown_mark_ns)};
    uint64_t at = max_u64(clock_moved(mark).boottime_ns, image->started.boottime_ns);
    return moment_at(min_u64(at, moment_now().boottime_ns));
}

static void note_failures(struct image *image) {
    if (image->writer.failures == image->failures_noted) return;
    image_note(image, NOTE_SAID, "%lu writes failed (last: %s); what they held is in the snapshots that follow",
               (unsigned long)(image->writer.failures - image->failures_noted), strerror(image->writer.error));
    image->failures_noted = image->writer.failures;
}

static bool drain(struct image *image, bool dead) {
    enum log_result result = log_drain(&image->log, &image->books, &image->writer, dead);
    if (result == LOG_DAMAGED) books_failed(image, "an impossible entry in the log of stacks");
    return result == LOG_DONE;
}

// Writes the snapshot that the cut was made for. The order is law: cut, log, snapshot.
static void finish_snapshot(struct image *image, uint64_t now) {
    struct cut *cut = &image->cut;
    uint32_t rested = cut_buffer(cut), buffers = 1u << rested | 4u << rested | (cut->marked ? 3u : 0);
    image->high_in_use = max_u64(image->high_in_use, cut->in_use);
    image->last_in_use = cut->in_use;
    const char *why = tally_merge(&image->tally, &image->books, buffers, false);
    if (why) {
        books_failed(image, why);
        return;
    }
    bool shutdown = cut->kind == HT_SNAP_SHUTDOWN;
    uint32_t phases = image->shutdown_done ? PHASE_BOTH : PHASE_RUN;
    uint16_t flags = cut->late ? HT_SNAPF_LATE : 0;
    struct moment at = shutdown ? shutdown_moment(image) : cut->at;
    bool good = drain(image, false) && record_snapshot(image, cut->kind, at, flags, phases);
    if (image->state != IMAGE_RECORDING) return;
    if (!good) {
        image->gap = true;
        image->retry_ns = now + RETRY_NS;
        return;
    }
    if (shutdown) {
        image->shutdown_done = true;
        keep_numbers(image, PHASE_RUN);
    }
    if (cut->late) image_note(image, NOTE_SAID, "snapshot %u waited for a thread that did not run", image->snapshots);
    note_failures(image);
    record_beside(image, cut->kind == HT_SNAP_SIGNAL ? MEMORY_ASKED : MEMORY_ROUTINE);
    record_notes(image);
}

static bool grew(const struct image *image) {
    if (image->options->every_ns) return false;
    uint64_t now = lanes_in_use(&image->books), high = image->high_in_use, last = image->last_in_use;
    bool risen = now > high + high / 10 && now > high + GROWTH_BYTES;
    return risen || (now < last / 2 && last - now > GROWTH_BYTES);
}

// What kind of snapshot is due; 0: none.
static uint16_t snapshot_due(struct image *image, uint64_t now) {
    bool marked = load_acquire(&books_live(&image->books)->shutdown_mark_ns) != 0;
    if (now < image->retry_ns || !budget_has_room(image, now)) return 0;
    if (!image->next_time_ns) return HT_SNAP_START;
    if (marked && !image->shutdown_done) return HT_SNAP_SHUTDOWN;
    if (image->signalled) return HT_SNAP_SIGNAL;
    if (now >= image->next_time_ns) return HT_SNAP_TIME;
    return grew(image) ? HT_SNAP_GROWTH : 0;
}

static uint64_t time_between(const struct image *image, uint64_t now) {
    if (image->options->every_ns) return image->options->every_ns;
    uint64_t age = age_of(image, now);
    return max_u64(250 * NS_PER_MS, min_u64(age / 40, 10 * NS_PER_S));
}

static bool is_left(void *data, uint64_t tid) { return process_thread_sleeps(data, tid); }

// An operation blocks nowhere, so a thread that sleeps has left it. Running, stopped and frozen ones are waited for.
static bool poll_pending(struct image *image, uint64_t now) {
    if (cut_poll(&image->cut, &image->books)) return true;
    if (now < image->cut.at.boottime_ns + ABANDON_NS || now < image->next_abandon_ns) return false;
    image->next_abandon_ns = now + LOOK_NS;
    if (!memory_is_frozen(&image->memory)) cut_abandon(&image->cut, &image->books, is_left, &image->process);
    return cut_poll(&image->cut, &image->books);
}

static void take_snapshot(struct image *image, uint64_t now) {
    uint16_t kind = image->cut.pending ? image->cut.kind : snapshot_due(image, now);
    if (!kind) return;
    if (!image->cut.pending) {
        if (kind == HT_SNAP_SIGNAL) image->signalled = false;
        if (kind == HT_SNAP_START || kind == HT_SNAP_TIME) image->next_time_ns = now + time_between(image, now);
        cut_begin(&image->cut, &image->books, kind);
        if (!cut_wait(&image->cut, &image->books)) return;
    } else if (!poll_pending(image, now)) {
        return;
    }
    finish_snapshot(image, now);
}

// ---- The end --------------------------------------------------------------------------------------------------------

// Nothing moves any more: everything is at rest.
static bool merge_all(struct image *image) {
    image->inside = lanes_inside(&image->books);
    const char *why = tally_merge(&image->tally, &image->books, 15, true);
    if (why) books_failed(image, why);
    return !why;
}

static bool end_log(struct image *image) {
    bool done = drain(image, true);
    if (done && image->log.skipped_bytes)
        image_note(image, NOTE_WARNING, "the program ended while writing new stacks: %lu bytes of its log are lost",
                   (unsigned long)image->log.skipped_bytes);
    return done;
}

static bool end_shutdown(struct image *image) {
    bool marked = load_acquire(&books_live(&image->books)->shutdown_mark_ns) != 0;
    if (!marked || image->shutdown_done) return true;
    keep_numbers(image, PHASE_RUN);
    image->shutdown_done = record_snapshot(image, HT_SNAP_SHUTDOWN, shutdown_moment(image), 0, PHASE_RUN);
    return image->shutdown_done;
}

static bool end_exit(struct image *image) {
    uint16_t flags = (uint16_t)(image->inside ? HT_SNAPF_KILLED : 0);
    if (!image->shutdown_done) keep_numbers(image, PHASE_BOTH);
    image->numbers.allocated_bytes = tally_sum(&image->tally, PHASE_BOTH).counts[0];
    if (!record_snapshot(image, HT_SNAP_EXIT, image->ended, flags, PHASE_BOTH)) return false;
    record_beside(image, MEMORY_DEAD);
    return true;
}

static bool end_notes(struct image *image) {
    note_failures(image);
    return record_notes(image);
}

static bool (*const STAGES[])(struct image *) = {
    [ENDING_MERGE] = merge_all, [ENDING_LOG] = end_log,     [ENDING_SHUTDOWN] = end_shutdown,
    [ENDING_EXIT] = end_exit,   [ENDING_NOTES] = end_notes, [ENDING_AGENT] = record_agent,
    [ENDING_END] = record_end,
};

// A wrapper such as `env` or `sh -c` leaves nothing behind: what it held is gone with its image.
static bool leaves_nothing(const struct image *image) {
    bool young = image->writer.fd < 0 && age_of(image, image->ended.boottime_ns) < YOUNG_NS;
    bool empty = !image->numbers.allocated_bytes && image->cause != HT_END_BOOKS;
    return young && !image->primary && (empty || image->cause == HT_END_EXEC);
}

static void end_step(struct image *image, uint64_t now) {
    while (image->stage < ENDED) {
        enum ending_stage stage = image->stage;
        if (!STAGES[stage](image)) {
            if (image->stage != stage) continue; // the books failed: on to the notes
            image->gap = stage == ENDING_SHUTDOWN || stage == ENDING_EXIT || image->gap;
            if (now < image->deadline_ns) {
                image->next_tick_ns = now + RETRY_NS;
                return;
            }
        }
        image->stage++;
    }
    if (!leaves_nothing(image) && !writer_settle(&image->writer) && now < image->deadline_ns) {
        image->next_tick_ns = now + RETRY_NS;
        return;
    }
    writer_give_up(&image->writer);
    image->state = IMAGE_DONE;
}

// Dead: say how, if that can be known now or soon.
static void look_at_death(struct image *image, uint64_t now) {
    if (!image->dead_ns) { // the next round first takes the registration of an image that replaced this one
        image->dead_ns = now;
        image->next_tick_ns = now;
        return;
    }
    if (image->replaced_ns) {
        begin_ending(image, HT_END_EXEC, 0);
        return;
    }
    if (!image->status_known) image->status_known = process_wait_status(&image->process, &image->wait_status);
    if (!image->status_known && image->awaits_status && now < image->dead_ns + STATUS_NS) {
        image->next_tick_ns = now + 5 * NS_PER_MS;
        return;
    }
    int status = image->wait_status;
    if (!image->status_known)
        begin_ending(image, HT_END_UNKNOWN, 0);
    else if (WIFSIGNALED(status))
        begin_ending(image, HT_END_KILLED, WTERMSIG(status));
    else
        begin_ending(image, HT_END_EXITED, WEXITSTATUS(status));
}

static void look_at_image(struct image *image, uint64_t now) {
    if (now < image->next_look_ns) return;
    image->next_look_ns = now + LOOK_NS;
    if (image->replaced_ns && now >= image->replaced_ns + SUCCESSOR_NS) begin_ending(image, HT_END_EXEC, 0);
    if (!image->replaced_ns && process_image_fate(&image->process) == IMAGE_REPLACED) image->replaced_ns = now;
}

// ---- The tick -------------------------------------------------------------------------------------------------------

static uint64_t tick_ns(const struct image *image, uint64_t now) {
    uint64_t age = age_of(image, now);
    return (age < 10 * NS_PER_S ? 10 : age < 100 * NS_PER_S ? 50 : 250) * (uint64_t)NS_PER_MS;
}

// The books of exact mode grow with the heap, in the program's own control group: they must not be what fills it.
static void look_at_room(struct image *image, uint64_t now) {
    uint64_t *armed = &image->books.control->armed;
    if (now < image->next_room_ns) return;
    image->next_room_ns = now + LOOK_NS;
    if (load_relaxed(armed) == HT_DISARMED || !memory_is_short(&image->memory)) return;
    store_release(armed, HT_DISARMED);
    image_note(image, NOTE_WARNING,
               "the control group's memory is nearly used up: from here on no allocation is recorded (--arm goes on)");
}

static void tick_recording(struct image *image, uint64_t now) {
    store_release(&image->books.control->heartbeat_ns, now);
    image->next_tick_ns = now + tick_ns(image, now);
    if (!process_is_alive(&image->process)) {
        look_at_death(image, now);
        return;
    }
    look_at_image(image, now);
    look_at_room(image, now);
    if (image->state != IMAGE_RECORDING || image->replaced_ns) return;
    take_snapshot(image, now);
    uint64_t waiting = log_waiting(&image->log, &image->books);
    bool filling = waiting > image->books.log_size / 4 && budget_has_room_for(image, waiting);
    if (image->state == IMAGE_RECORDING && filling && now >= image->retry_ns && !drain(image, false))
        image->retry_ns = now + RETRY_NS;
    if (age_of(image, now) >= (image->primary ? SETTLE_NS : YOUNG_NS) && now >= image->retry_ns &&
        !writer_settle(&image->writer))
        image->retry_ns = now + RETRY_NS;
}

struct step {
    struct image *image;
    uint64_t now;
};

static void guarded_tick(void *data) {
    struct step *step = data;
    if (step->image->state == IMAGE_RECORDING) tick_recording(step->image, step->now);
    if (step->image->state == IMAGE_ENDING && step->now >= step->image->next_tick_ns) end_step(step->image, step->now);
}

void image_tick(struct image *image, uint64_t now) {
    struct step step = {image, now};
    if (!books_guarded(guarded_tick, &step)) books_failed(image, "a page of theirs cannot be had");
}
