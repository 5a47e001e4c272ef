// SPDX-License-Identifier: Apache-2.0
// util.h: small things that every part of the recorder needs: byte buffers, small files, text to numbers, atomics.
#ifndef HEAPTIDE_RECORDER_UTIL_H
#define HEAPTIDE_RECORDER_UTIL_H

#include "clock.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { NS_PER_MS = 1000000 };
#define NS_PER_S 1000000000ull

void sleep_ns(uint64_t ns);

// A growing byte buffer. Correct when zeroed. After an allocation failed it swallows what is put in and says so.
struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
};
void buf_deinit(struct buf *b);
void buf_clear(struct buf *b); // keeps the memory
// Room for `bytes` more, already counted as put; NULL (and failed) when there is no memory.
void *buf_grow(struct buf *b, size_t bytes);
void buf_put(struct buf *b, const void *data, size_t bytes);
void buf_put_str(struct buf *b, const char *text);  // with its NUL
void buf_put_varint(struct buf *b, uint64_t value); // LEB128
void buf_pad8(struct buf *b);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *format, ...);

static inline uint64_t zigzag(int64_t value) { return (uint64_t)value << 1 ^ (uint64_t)(value >> 63); }

uint32_t crc32_of(uint32_t crc, const void *data, size_t bytes); // zlib's; begin with 0

// Reads at most `cap` - 1 bytes of a small file and ends them with NUL. The length, or -1.
ssize_t read_small(int dir, const char *path, char *data, size_t cap);
// Everything of a file, up to `limit` bytes.
bool read_whole(int dir, const char *path, size_t limit, struct buf *ret);

// "512KiB", "64M", "1000" -> bytes; "500ms", "10s", "5m", "2h" -> nanoseconds. False: unreadable, nothing is changed.
bool parse_size(const char *text, uint64_t *ret);
bool parse_duration(const char *text, uint64_t *ret);

// What people are told, on stderr, each line begun with the program's name. Nothing once say_nothing() was called.
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
void say_nothing(void);

// One word of the books: the program may write it at this very moment.
static inline uint64_t load_acquire(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline uint64_t load_relaxed(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void store_release(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
