// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

void sleep_ns(uint64_t ns) {
    struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    nanosleep(&t, NULL);
}

// ---- Buffers --------------------------------------------------------------------------------------------------------

void buf_deinit(struct buf *b) {
    free(b->data);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b) {
    b->len = 0;
    b->failed = false;
}

void *buf_grow(struct buf *b, size_t bytes) {
    if (b->failed) return NULL;
    if (bytes > b->cap - b->len) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap - b->len < bytes && cap < SIZE_MAX / 2) cap *= 2;
        uint8_t *data = realloc(b->data, cap);
        if (!data || cap - b->len < bytes) {
            b->failed = true;
            if (data) b->data = data, b->cap = cap;
            return NULL;
        }
        b->data = data;
        b->cap = cap;
    }
    void *place = b->data + b->len;
    b->len += bytes;
    return place;
}

void buf_put(struct buf *b, const void *data, size_t bytes) {
    void *place = bytes ? buf_grow(b, bytes) : NULL;
    if (place) memcpy(place, data, bytes);
}

void buf_put_str(struct buf *b, const char *text) { buf_put(b, text, strlen(text) + 1); }

void buf_put_varint(struct buf *b, uint64_t value) {
    uint8_t bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) bytes[n++] = (uint8_t)(value | 0x80);
    bytes[n++] = (uint8_t)value;
    buf_put(b, bytes, n);
}

void buf_pad8(struct buf *b) {
    static const uint8_t zeros[8];
    buf_put(b, zeros, (8 - b->len % 8) % 8);
}

void buf_printf(struct buf *b, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0) buf_put(b, text, min_u64((uint64_t)n, sizeof text - 1));
}

// ---- CRC-32, eight bytes a step -----------------------------------------------------------------------------------------

enum { CRC_STEP = 8 };
static uint32_t crc_table[CRC_STEP][256];

static void crc_init(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < CRC_STEP; t++)
            crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 255];
}

uint32_t crc32_of(uint32_t crc, const void *data, size_t bytes) {
    const uint8_t *p = data;
    if (!crc_table[0][1]) crc_init();
    crc = ~crc;
    for (; bytes >= CRC_STEP; bytes -= CRC_STEP, p += CRC_STEP) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        word ^= crc; // little-endian
        crc = 0;
        for (int i = 0; i < CRC_STEP; i++) crc ^= crc_table[CRC_STEP - 1 - i][word >> 8 * i & 255];
    }
    for (; bytes; bytes--, p++) crc = crc >> 8 ^ crc_table[0][(crc ^ *p) & 255];
    return ~crc;
}

// ---- Files ----------------------------------------------------------------------------------------------------------

ssize_t read_small(int dir, const char *path, char *data, size_t cap) {
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t len = 0;
    ssize_t n = 0;
    while (len < cap - 1 && ((n = read(fd, data + len, cap - 1 - len)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) len += (size_t)n;
    close(fd);
    data[len] = 0;
    return n < 0 ? -1 : (ssize_t)len;
}

bool read_whole(int dir, const char *path, size_t limit, struct buf *ret) {
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    uint8_t part[4096];
    ssize_t n;
    while (ret->len < limit && ((n = read(fd, part, sizeof part)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) buf_put(ret, part, min_u64((uint64_t)n, limit - ret->len));
    close(fd);
    return !ret->failed;
}

// ---- Numbers --------------------------------------------------------------------------------------------------------

struct unit {
    const char *name;
    uint64_t factor;
};

// A decimal number and one of `units`; the first unit is meant when none is named.
static bool parse_with_unit(const char *text, const struct unit *units, size_t count, uint64_t *ret) {
    if (!isdigit((unsigned char)text[0])) return false;
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    if (errno || number < 0) return false;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(end, units[i].name) != 0 && !(i == 0 && !*end)) continue;
        double value = number * (double)units[i].factor;
        if (!(value < 9e18)) return false;
        *ret = (uint64_t)value;
        return true;
    }
    return false;
}

bool parse_size(const char *text, uint64_t *ret) {
    static const struct unit units[] = {
        {"B", 1},        {"KiB", 1 << 10}, {"K", 1 << 10}, {"kB", 1000},       {"MiB", 1 << 20},    {"M", 1 << 20},
        {"MB", 1000000}, {"GiB", 1 << 30}, {"G", 1 << 30}, {"GB", 1000000000}, {"TiB", 1ull << 40}, {"T", 1ull << 40},
    };
    return parse_with_unit(text, units, sizeof units / sizeof *units, ret);
}

bool parse_duration(const char *text, uint64_t *ret) {
    static const struct unit units[] = {
        {"s", NS_PER_S},        {"ms", NS_PER_MS},       {"us", 1000}, {"m", 60 * NS_PER_S}, {"min", 60 * NS_PER_S},
        {"h", 3600 * NS_PER_S}, {"d", 86400 * NS_PER_S},
    };
    return parse_with_unit(text, units, sizeof units / sizeof *units, ret);
}

// ---- Messages -------------------------------------------------------------------------------------------------------

static bool silent;

void say_nothing(void) { silent = true; }

void say(const char *format, ...) {
    if (silent) return;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dprintf(STDERR_FILENO, "heaptide-record: %s\n", text);
}
