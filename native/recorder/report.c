// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "report.h"

#include "format.h"

#include <string.h>

static const char *const LOSS_NAMES[HT_LOSS_COUNT] = {
    [HT_LOSS_LOG_FULL] = "log_full",
    [HT_LOSS_NESTED] = "nested",
    [HT_LOSS_TABLE_FULL] = "table_full",
    [HT_LOSS_POOL_FULL] = "pool_full",
    [HT_LOSS_LIVE_FULL] = "live_full",
    [HT_LOSS_SAMPLE_TABLE_FULL] = "sample_table_full",
    [HT_LOSS_NO_MEMORY] = "no_memory",
    [HT_LOSS_UNKNOWN_FREE] = "unknown_free",
    [HT_LOSS_UNKNOWN_FREE_BYTES] = "unknown_free_bytes",
    [HT_LOSS_DEPTH] = "depth",
    [HT_LOSS_UNWIND_GUESS] = "unwind_guess",
    [HT_LOSS_MISSED_FREE] = "missed_free",
    [HT_LOSS_OPTION] = "option",
    [HT_LOSS_MAPPING] = "mapping",
};

static const char *const CAUSES[] = {
    [HT_END_UNKNOWN] = "unknown", [HT_END_EXITED] = "exited",    [HT_END_KILLED] = "killed",
    [HT_END_EXEC] = "exec",       [HT_END_RECORDER] = "stopped", [HT_END_BOOKS] = "books"};

// Length of the UTF-8 character at `p`, 0 when it is none (overlong forms and surrogates included).
static size_t utf8_length(const uint8_t *p, size_t left) {
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t n = 1; n <= 4 && n <= left; n++) {
        if ((p[0] & forms[n - 1].mask) != forms[n - 1].lead) continue;
        uint32_t c = p[0] & (uint8_t)~forms[n - 1].mask;
        for (size_t i = 1; i < n; i++) {
            if ((p[i] & 0xc0) != 0x80) return 0;
            c = c << 6 | (p[i] & 0x3f);
        }
        return c < forms[n - 1].least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
    }
    return 0;
}

static void put_text(struct buf *ret, const char *text) {
    const uint8_t *p = (const uint8_t *)text;
    for (size_t left = strlen(text), n; left; p += n, left -= n) {
        n = utf8_length(p, left);
        if (!n) {
            buf_printf(ret, "\\udc%02x", *p);
            n = 1;
        } else if (*p < 0x20 || *p == '"' || *p == '\\') {
            buf_printf(ret, "\\u%04x", *p);
        } else {
            buf_put(ret, p, n);
        }
    }
}

static void put_field(struct buf *ret, const char *name, uint64_t value) {
    buf_printf(ret, ", \"%s\": %lu", name, (unsigned long)value);
}

static void put_losses(const struct image *image, struct buf *ret) {
    const char *comma = "";
    buf_printf(ret, ", \"losses\": {");
    for (int i = 0; i < HT_LOSS_COUNT; i++) {
        if (!image->losses_said[i] || !LOSS_NAMES[i]) continue;
        buf_printf(ret, "%s\"%s\": %lu", comma, LOSS_NAMES[i], (unsigned long)image->losses_said[i]);
        comma = ", ";
    }
    buf_printf(ret, "}");
}

void report_image(const struct image *image, const char *prefix, struct buf *ret) {
    bool running = image->state == IMAGE_RECORDING;
    buf_printf(ret, "{\"path\": ");
    if (image->writer.file[0] && !image->writer.young.len) {
        buf_printf(ret, "\"");
        put_text(ret, prefix);
        put_text(ret, image->writer.file);
        buf_printf(ret, "\"");
    } else {
        buf_printf(ret, "null, \"error\": \"");
        put_text(ret, image->writer.error ? strerror(image->writer.error) : "");
        buf_printf(ret, "\"");
    }
    buf_printf(ret, ", \"pid\": %d, \"name\": \"", image->books.pid ? image->books.pid : image->process.pid);
    put_text(ret, image->process.name);
    buf_printf(ret, "\", \"mode\": \"%s\"", image->books.mode == HT_MODE_EXACT ? "exact" : "sampled");
    buf_printf(ret, ", \"cause\": \"%s\", \"status\": %d", running ? "running" : CAUSES[image->cause], image->status);
    put_field(ret, "snapshots", image->snapshots);
    put_field(ret, "in_use_bytes", image->numbers.in_use_bytes);
    put_field(ret, "in_use_objects", image->numbers.in_use_objects);
    put_field(ret, "allocated_bytes", image->numbers.allocated_bytes);
    put_field(ret, "file_bytes", image->writer.bytes);
    put_field(ret, "failed_writes", image->writer.failures);
    put_field(ret, "recorder_cpu_ns", image->recorder_cpu_ns);
    put_losses(image, ret);
    buf_printf(ret, "}\n");
}

void report_refused(uint64_t refused, struct buf *ret) {
    if (refused) buf_printf(ret, "{\"refused\": %lu}\n", (unsigned long)refused);
}
