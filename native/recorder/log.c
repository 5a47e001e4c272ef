// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "log.h"

#include <stdlib.h>
#include <string.h>

enum {
    BATCH_BYTES = 256 << 10, // a STACKS record is closed at about this size
    MAX_PHDRS = 512,
    MAX_BUILD_ID = 256,
    MAX_PATH = 4096,
};

bool log_init(struct log_reader *log, const struct books *books, const char *main_path, struct weights *weights) {
    *log = (struct log_reader){
        .acked = load_relaxed(&books->control->log_ack), .main_path = main_path, .weights = weights};
    log->known = calloc(books->max_ids / 8 + 1, 1);
    return log->known;
}

void log_deinit(struct log_reader *log) {
    buf_deinit(&log->copy);
    buf_deinit(&log->record);
    buf_deinit(&log->batch_ids);
    stack_batch_deinit(&log->batch);
    free(log->known);
    *log = (struct log_reader){0};
}

uint64_t log_waiting(const struct log_reader *log, const struct books *books) {
    return load_acquire(&books_live(books)->log_head) - log->acked;
}

bool log_knows(const struct log_reader *log, uint32_t id) { return log->known[id / 8] >> id % 8 & 1; }

static void set_known(struct log_reader *log, uint32_t id, bool known) {
    uint8_t bit = (uint8_t)(1 << id % 8);
    log->known[id / 8] = (uint8_t)(known ? log->known[id / 8] | bit : log->known[id / 8] & ~bit);
}

// ---- Writing --------------------------------------------------------------------------------------------------------

static void acknowledge(struct log_reader *log, const struct books *books, uint64_t pos) {
    log->acked = pos;
    store_release(&books->control->log_ack, pos);
}

static bool flush_stacks(struct log_reader *log, const struct books *books, struct writer *writer) {
    const struct buf *payload = stack_batch_finish(&log->batch);
    bool wanted = log->batch.count > 0, done = wanted && payload && writer_append(writer, HT_REC_STACKS, payload);
    const uint32_t *ids = (const uint32_t *)(const void *)log->batch_ids.data;
    for (size_t i = 0; wanted && !done && i < log->batch_ids.len / 4; i++) set_known(log, ids[i], false);
    if (done) acknowledge(log, books, log->batch_end);
    stack_batch_clear(&log->batch);
    buf_clear(&log->batch_ids);
    return done || !wanted;
}

// ---- Entries --------------------------------------------------------------------------------------------------------

static bool take_stack(struct log_reader *log, const struct books *books, const struct ht_log_entry *entry) {
    const struct ht_log_stack *stack = (const void *)entry;
    if (entry->bytes < sizeof *stack || stack->depth > HT_MAX_DEPTH) return false;
    if (sizeof *stack + stack->depth * 8ull > entry->bytes) return false;
    if (entry->id < HT_FIRST_STACK_ID || entry->id >= books->max_ids) return false;
    if (log_knows(log, entry->id)) return true;
    stack_batch_add(&log->batch, entry->id, entry->flags, stack->pcs, stack->depth);
    buf_put(&log->batch_ids, &entry->id, sizeof entry->id);
    if (log->batch_ids.failed) log->batch.payload.failed = true;
    if (!log->batch.payload.failed) set_known(log, entry->id, true);
    if (entry->flags & HT_STACK_MMAP) weights_set_mapping(log->weights, entry->id);
    return true;
}

static bool encode_module(struct log_reader *log, const struct ht_log_entry *entry) {
    const struct ht_log_module *m = (const void *)entry;
    if (entry->bytes < sizeof *m || !entry->id || m->start > m->end) return false;
    if (m->phnum > MAX_PHDRS || m->build_id_bytes > MAX_BUILD_ID || m->path_bytes > MAX_PATH) return false;
    uint64_t phdr_bytes = m->phnum * sizeof(struct ht_phdr), id_padded = (m->build_id_bytes + 7ull) & ~7ull;
    if (sizeof *m + phdr_bytes + id_padded + m->path_bytes > entry->bytes) return false;
    const uint8_t *phdrs = (const uint8_t *)(m + 1), *build_id = phdrs + phdr_bytes;
    const void *path = build_id + id_padded;
    uint32_t path_bytes = m->path_bytes;
    if (!path_bytes && m->flags & HT_MODULE_MAIN) {
        path = log->main_path;
        path_bytes = (uint32_t)strlen(log->main_path);
    }
    struct ht_rec_module head = {.module = entry->id,
                                 .flags = m->flags,
                                 .start = m->start,
                                 .end = m->end,
                                 .bias = m->bias,
                                 .seen_boottime_ns =
                                     clock_moved((struct moment){.boottime_ns = m->seen_boottime_ns}).boottime_ns,
                                 .phnum = m->phnum,
                                 .build_id_bytes = m->build_id_bytes,
                                 .path_bytes = path_bytes};
    buf_clear(&log->record);
    buf_put(&log->record, &head, sizeof head);
    buf_put(&log->record, phdrs, phdr_bytes);
    buf_put(&log->record, build_id, m->build_id_bytes);
    buf_put(&log->record, path, path_bytes);
    return true;
}

static void encode_unload(struct log_reader *log, const struct ht_log_entry *entry) {
    struct ht_rec_unload record = {.module = entry->id, .boottime_ns = moment_now().boottime_ns};
    buf_clear(&log->record);
    buf_put(&log->record, &record, sizeof record);
}

// Takes one entry that ends at position `end`.
static enum log_result take(struct log_reader *log, const struct books *books, struct writer *writer,
                            const struct ht_log_entry *entry, uint64_t end) {
    uint16_t record = 0;
    if (entry->type == HT_LOG_STACK) {
        if (!take_stack(log, books, entry)) return LOG_DAMAGED;
    } else if (entry->type == HT_LOG_MODULE) {
        if (!encode_module(log, entry)) return LOG_DAMAGED;
        record = HT_REC_MODULE;
    } else if (entry->type == HT_LOG_UNLOAD) {
        encode_unload(log, entry);
        record = HT_REC_UNLOAD;
    } else if (entry->type != HT_LOG_PAD) {
        return LOG_DAMAGED;
    }
    bool full = log->batch.payload.len >= BATCH_BYTES;
    if (!record) {
        if (log->batch.count) log->batch_end = end;
        if (full && !flush_stacks(log, books, writer)) return LOG_NOT_WRITTEN;
        if (!log->batch.count) acknowledge(log, books, end);
        return LOG_DONE;
    }
    if (!flush_stacks(log, books, writer)) return LOG_NOT_WRITTEN; // stacks before this are by the modules before this
    if (!writer_append(writer, record, &log->record)) return LOG_NOT_WRITTEN;
    acknowledge(log, books, end);
    return LOG_DONE;
}

// ---- The ring -------------------------------------------------------------------------------------------------------

static const struct ht_log_entry *entry_in(const struct log_reader *log, uint64_t pos) {
    return (const struct ht_log_entry *)(const void *)(log->copy.data + (pos - log->acked));
}

static bool is_published(const struct ht_log_entry *entry, uint64_t pos) { return entry->stamp == ht_log_stamp(pos); }

static bool is_sound(const struct ht_log_entry *entry, const struct books *books, uint64_t pos, uint64_t end) {
    uint64_t to_wrap = books->log_size - (pos & (books->log_size - 1));
    return entry->bytes >= sizeof *entry && entry->bytes % 16 == 0 && entry->bytes <= min_u64(end - pos, to_wrap);
}

static bool copy_ring(struct log_reader *log, const struct books *books, uint64_t bytes) {
    buf_clear(&log->copy);
    void *place = buf_grow(&log->copy, bytes);
    return place && books_read_log(books, log->acked, place, bytes);
}

// Where the published entries end, by the copy at hand.
static uint64_t published_end(const struct log_reader *log, const struct books *books, uint64_t end) {
    uint64_t pos = log->acked;
    while (pos < end && is_published(entry_in(log, pos), pos) && is_sound(entry_in(log, pos), books, pos, end))
        pos += entry_in(log, pos)->bytes;
    return pos;
}

// Walks the copy, which begins at log->acked as it is now and ends at position `end`.
static enum log_result walk(struct log_reader *log, const struct books *books, struct writer *writer, uint64_t end,
                            bool dead) {
    uint64_t begin = log->acked; // moves while we write
    enum log_result result = LOG_DONE;
    for (uint64_t pos = begin; pos < end && result == LOG_DONE;) {
        const struct ht_log_entry *entry = (const void *)(log->copy.data + (pos - begin));
        bool good = is_published(entry, pos) && is_sound(entry, books, pos, end);
        if (!good && !dead) return LOG_DAMAGED; // it was good in the first copy
        uint64_t next = pos + (good ? entry->bytes : 16);
        if (good) result = take(log, books, writer, entry, next);
        if (result == LOG_DAMAGED && dead) result = LOG_DONE, good = false;
        if (!good) log->skipped_bytes += next - pos;
        pos = next;
    }
    if (result == LOG_DONE && !flush_stacks(log, books, writer)) result = LOG_NOT_WRITTEN;
    return result;
}

enum log_result log_drain(struct log_reader *log, const struct books *books, struct writer *writer, bool dead) {
    uint64_t waiting = log_waiting(log, books);
    if (waiting > books->log_size || waiting % 16) return LOG_DAMAGED;
    if (!waiting) return LOG_DONE;
    uint64_t end = log->acked + waiting;
    if (!copy_ring(log, books, waiting)) return LOG_NOT_WRITTEN;
    if (!dead) {
        // The first copy tells which entries were published before it was made; their bytes are taken from a second one.
        uint64_t published = published_end(log, books, end);
        bool stuck = published < end && is_published(entry_in(log, published), published);
        if (stuck) return LOG_DAMAGED; // published, and of an impossible length
        end = published;
        if (end == log->acked) return LOG_DONE;
        if (!copy_ring(log, books, end - log->acked)) return LOG_NOT_WRITTEN;
    }
    uint64_t skipped = log->skipped_bytes;
    enum log_result result = walk(log, books, writer, end, dead);
    if (dead && result == LOG_NOT_WRITTEN) log->skipped_bytes = skipped; // it will be walked again
    if (dead && result == LOG_DONE) acknowledge(log, books, end);
    return result;
}
