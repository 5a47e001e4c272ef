// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "format.h"
#include "image.h"
#include "version.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

// ---- PROCESS --------------------------------------------------------------------------------------------------------

bool record_process(struct image *image) {
    const struct books *books = &image->books;
    const struct process *process = &image->process;
    struct utsname system = {0};
    uname(&system);
    struct ht_rec_process head = {.pid = books->pid,
                                  .parent_pid = books->parent_pid,
                                  .uid = process->uid,
                                  .mode = books->mode,
                                  .process_start_ticks = process->start_ticks,
                                  .ticks_per_second = (uint64_t)sysconf(_SC_CLK_TCK),
                                  .started_realtime_ns = image->started.realtime_ns,
                                  .started_boottime_ns = image->started.boottime_ns,
                                  .interval = load_relaxed(&books_live(books)->interval),
                                  .flags = books->flags,
                                  .page_bytes = (uint32_t)sysconf(_SC_PAGESIZE),
                                  .cpus = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN),
                                  .argc = process->argc};
    struct buf *b = &image->payload;
    buf_clear(b);
    buf_put(b, &head, sizeof head);
    buf_put(b, process->exe.data, process->exe.len);
    buf_put(b, process->cwd.data, process->cwd.len);
    buf_put_str(b, system.nodename);
    buf_put_str(b, system.release);
    buf_put_str(b, books->agent_version);
    buf_put_str(b, HT_VERSION);
    buf_put_str(b, system.machine);
    buf_put(b, process->argv.data, process->argv.len);
    return writer_append(&image->writer, HT_REC_PROCESS, b);
}

// ---- SNAPSHOT -------------------------------------------------------------------------------------------------------

// Ids that were counted and whose stack never came through the log: their totals are written all the same.
static void note_orphans(struct image *image) {
    const uint32_t *ids = rows_ids(&image->rows);
    uint64_t orphans = 0;
    for (size_t i = 0; i < image->rows.count; i++)
        orphans += ids[i] >= HT_FIRST_STACK_ID && !log_knows(&image->log, ids[i]);
    if (!orphans || image->noted_orphans) return;
    image->noted_orphans = true;
    image_note(image, NOTE_WARNING, "snapshot %u counts %lu stacks whose addresses are not in the capture yet",
               image->snapshots, (unsigned long)orphans);
}

static void put_sums(const struct image *image, struct ht_rec_packed *head) {
    for (int a = 0; a < HT_ACCOUNTS; a++) {
        head->in_use_bytes[a] = image->weights.accounts[a].in_use;
        head->alloc_bytes[a] = image->weights.accounts[a].alloc_bytes;
    }
    head->low_bytes = head->high_bytes = head->in_use_bytes[HT_ACCOUNT_BLOCKS];
}

// The caller has drained the log: the stacks of what is counted here are in the capture.
bool record_snapshot(struct image *image, uint16_t kind, struct moment at, uint16_t flags, uint32_t phases) {
    struct ht_rec_packed head = {.snapshot = {.number = image->snapshots + 1,
                                              .kind = kind,
                                              .flags = (uint16_t)(flags | (image->gap ? HT_SNAPF_GAP : 0)),
                                              .realtime_ns = at.realtime_ns,
                                              .boottime_ns = at.boottime_ns,
                                              .interval = load_relaxed(&books_live(&image->books)->interval)}};
    const uint64_t *folded = image->weights.folded_count ? image->weights.folded : NULL;
    rows_take_dirty(&image->rows, &image->tally, folded, phases);
    bool good = !rows_failed(&image->rows) && weights_take(&image->weights, &image->rows);
    put_sums(image, &head);
    good = good && rows_encode(&image->rows, head, false, &image->payload) &&
           writer_append(&image->writer, HT_REC_PACKED, &image->payload);
    image->gap = !good;
    if (!good) return false;
    tally_clean(&image->tally, phases);
    image->snapshots++;
    ages_mark(&image->ages, image->cut.epoch, image->snapshots);
    budget_take(&image->budget, image->rows.count, image->payload.len);
    note_orphans(image);
    return true;
}

// ---- MEMORY, AGENT --------------------------------------------------------------------------------------------------

static uint64_t own_rss_bytes(void) {
    char text[256];
    unsigned long size, resident;
    if (read_small(-1, "/proc/self/statm", text, sizeof text) <= 0) return 0;
    if (sscanf(text, "%lu %lu", &size, &resident) != 2) return 0;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t own_cpu_ns(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    uint64_t seconds = (uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec;
    return seconds * NS_PER_S + ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
}

bool record_agent(struct image *image) {
    const struct ht_books_header *live = books_live(&image->books);
    struct ht_rec_agent record = {.snapshot = image->snapshots,
                                  .recorder_cpu_ns = own_cpu_ns(),
                                  .recorder_rss_bytes = own_rss_bytes(),
                                  .bad_options = __atomic_load_n(&live->bad_options, __ATOMIC_RELAXED)};
    for (int i = 0; i < HT_LOSS_COUNT; i++) record.losses[i] = load_relaxed(&live->losses[i]);
    for (int i = 0; i < HT_MEMORY_COUNT; i++) record.memory[i] = load_relaxed(&live->memory[i]);
    uint64_t next_id = load_relaxed(&live->next_id);
    record.stacks = next_id > HT_FIRST_STACK_ID ? min_u64(next_id, image->books.max_ids) - HT_FIRST_STACK_ID : 0;
    buf_clear(&image->payload);
    buf_put(&image->payload, &record, sizeof record);
    if (!writer_append(&image->writer, HT_REC_AGENT, &image->payload)) return false;
    memcpy(image->losses_said, record.losses, sizeof record.losses);
    memcpy(image->memory_said, record.memory, sizeof record.memory);
    image->stacks_said = load_relaxed(&live->next_id);
    image->recorder_cpu_ns = record.recorder_cpu_ns;
    return true;
}

static bool agent_changed(const struct image *image) {
    const struct ht_books_header *live = books_live(&image->books);
    bool changed = load_relaxed(&live->next_id) != image->stacks_said;
    for (int i = 0; i < HT_LOSS_COUNT; i++) changed |= load_relaxed(&live->losses[i]) != image->losses_said[i];
    for (int i = 0; i < HT_MEMORY_COUNT; i++) changed |= load_relaxed(&live->memory[i]) != image->memory_said[i];
    return changed;
}

// Once the program shuts down the agent leaves the live samples as they are: what is read then is of the moment before.
static void record_ages(struct image *image, enum memory_reason reason) {
    uint64_t now = moment_now().boottime_ns;
    bool last = image->shutdown_done || reason == MEMORY_DEAD;
    bool wanted = last ? !image->ages.final : reason == MEMORY_ASKED || ages_due(&image->ages, now);
    if (!wanted) return;
    image->ages.final = last;
    uint32_t number = image->snapshots - (reason == MEMORY_DEAD && image->shutdown_done); // exit's is the last
    if (ages_encode(&image->ages, &image->books, number, now, &image->payload))
        writer_append(&image->writer, HT_REC_AGES, &image->payload);
}

void record_beside(struct image *image, enum memory_reason reason) {
    memory_read(&image->memory, &image->process, image->snapshots, reason, &image->payload);
    if (reason != MEMORY_DEAD)
        parts_read(&image->parts, &image->books, &image->process, reason == MEMORY_ASKED, &image->payload);
    memory_finish(&image->payload);
    writer_append(&image->writer, HT_REC_MEMORY, &image->payload);
    if (agent_changed(image)) record_agent(image);
    record_ages(image, reason);
}

// ---- NOTE, END ------------------------------------------------------------------------------------------------------

void image_note(struct image *image, int severity, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    uint8_t byte = (uint8_t)severity;
    buf_put(&image->notes, &byte, 1);
    buf_put_str(&image->notes, text);
}

bool record_notes(struct image *image) {
    struct buf *notes = &image->notes;
    while (notes->len && !notes->failed) {
        const char *text = (const char *)notes->data + 1;
        struct ht_rec_note head = {.severity = notes->data[0]};
        size_t length = strlen(text);
        buf_clear(&image->payload);
        buf_put(&image->payload, &head, sizeof head);
        buf_put(&image->payload, text, length);
        if (!writer_append(&image->writer, HT_REC_NOTE, &image->payload)) return false;
        notes->len -= length + 2;
        memmove(notes->data, notes->data + length + 2, notes->len);
    }
    return true;
}

bool record_end(struct image *image) {
    struct ht_rec_end record = {.cause = image->cause,
                                .status = image->status,
                                .realtime_ns = image->ended.realtime_ns,
                                .boottime_ns = image->ended.boottime_ns,
                                .oom_kills = memory_oom_kills(&image->memory)};
    buf_clear(&image->payload);
    buf_put(&image->payload, &record, sizeof record);
    return writer_append(&image->writer, HT_REC_END, &image->payload);
}
