// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    YOUNG_LIMIT = 8 << 20, // more than this is not kept in memory
    NAME_ATTEMPTS = 1000,
};

// ---- Names ----------------------------------------------------------------------------------------------------------

static void put_program(struct buf *out, const char *program) {
    for (const char *p = program; *p; p++) {
        char c = *p == '/' || (unsigned char)*p < 0x20 ? '_' : *p;
        buf_put(out, &c, 1);
    }
}

static bool ends_with(const char *text, size_t length, const char *end) {
    size_t n = strlen(end);
    return length >= n && !memcmp(text + length - n, end, n);
}

// Expands {name} and {pid}; true when there was a {pid}.
static bool expand(const struct capture_name *name, struct buf *out) {
    bool has_pid = false;
    for (const char *p = name->pattern; *p;) {
        if (!strncmp(p, "{name}", 6)) {
            put_program(out, name->program);
            p += 6;
        } else if (!strncmp(p, "{pid}", 5)) {
            buf_printf(out, "%d", name->pid);
            has_pid = true;
            p += 5;
        } else {
            buf_put(out, p++, 1);
        }
    }
    return has_pid;
}

// Attempts are NAME (when plain), NAME.PID, NAME.PID.1, NAME.PID.2 ...; what is added goes before a final ".tide".
bool capture_name_make(const struct capture_name *name, unsigned attempt, char *ret, size_t cap) {
    struct buf text = {0};
    bool has_pid = expand(name, &text);
    if (!has_pid && !name->plain) attempt++;
    bool tide = text.data && ends_with((const char *)text.data, text.len, ".tide");
    if (tide) text.len -= strlen(".tide");
    if (!has_pid && attempt > 0) {
        buf_printf(&text, ".%d", name->pid);
        attempt--;
    }
    if (attempt > 0) buf_printf(&text, ".%u", attempt);
    if (tide) buf_put(&text, ".tide", strlen(".tide"));
    buf_put(&text, "", 1);
    bool good = !text.failed && text.len <= cap && text.len > 1;
    if (good) memcpy(ret, text.data, text.len);
    buf_deinit(&text);
    return good;
}

// ---- The file -------------------------------------------------------------------------------------------------------

// O_EXCL and O_NOFOLLOW: never an existing file, never through a link that somebody laid ready.
static bool create(struct writer *w) {
    char file[sizeof w->file];
    for (unsigned attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        if (!capture_name_make(&w->name, attempt, file, sizeof file)) {
            errno = ENAMETOOLONG;
            break;
        }
        w->fd = openat(w->dir, file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (w->fd < 0 && errno == EEXIST) continue;
        if (w->fd < 0) break;
        flock(w->fd, LOCK_EX | LOCK_NB); // readers take a file without END that nobody holds for cut short
        memcpy(w->file, file, sizeof file);
        return true;
    }
    w->error = errno;
    w->failures++;
    return false;
}

// All or nothing: a short write is followed up, and taken back when it cannot be finished.
static bool write_parts(struct writer *w, struct iovec *parts, int count) {
    uint64_t offset = w->bytes;
    for (int i = 0; i < count;) {
        ssize_t n = pwritev(w->fd, parts + i, count - i, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            w->error = n < 0 ? errno : EIO;
            w->failures++;
            while (ftruncate(w->fd, (off_t)w->bytes) && errno == EINTR) {
            }
            return false;
        }
        offset += (uint64_t)n;
        for (; i < count && (size_t)n >= parts[i].iov_len; i++) n -= (ssize_t)parts[i].iov_len;
        if (i < count) {
            parts[i].iov_base = (uint8_t *)parts[i].iov_base + n;
            parts[i].iov_len -= (size_t)n;
        }
    }
    w->bytes = offset;
    return true;
}

void writer_init(struct writer *w, int dir, struct capture_name name, uint64_t budget, uint64_t realtime_ns) {
    *w = (struct writer){.dir = dir, .fd = -1, .name = name, .budget = budget};
    struct ht_file_header header = {
        .version = HT_FORMAT_VERSION, .header_bytes = sizeof header, .created_realtime_ns = realtime_ns};
    memcpy(header.magic, HT_FILE_MAGIC, sizeof header.magic);
    buf_put(&w->young, &header, sizeof header);
    w->bytes = w->young.len;
}

void writer_deinit(struct writer *w) {
    if (w->fd >= 0) close(w->fd);
    buf_deinit(&w->young);
    w->fd = -1;
}

bool writer_settle(struct writer *w) {
    if (w->fd >= 0 && !w->young.len) return true;
    if (w->fd < 0 && !create(w)) return false;
    struct iovec part = {w->young.data, w->young.len};
    w->bytes = 0;
    if (!write_parts(w, &part, 1)) {
        w->bytes = w->young.len;
        return false;
    }
    buf_deinit(&w->young);
    return true;
}

void writer_give_up(struct writer *w) {
    if (w->fd < 0 || !w->young.len) return;
    unlinkat(w->dir, w->file, 0); // ours: it was made with O_EXCL
    w->file[0] = 0;
}

// ---- A file that takes the place of another ---------------------------------------------------------------------------

// What a linked file is called until it has its name. One that was left by a recorder which was killed at that point is
// removed, if it is ours.
static void name_beside(const struct writer *w, char *ret, size_t cap) {
    struct stat st;
    snprintf(ret, cap, "%.200s.rewritten", w->file);
    bool ours = !fstatat(w->dir, ret, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) && st.st_uid == geteuid();
    if (ours) unlinkat(w->dir, ret, 0);
}

bool writer_begin_beside(const struct writer *w, struct writer *ret) {
    *ret = (struct writer){.dir = w->dir, .bytes = sizeof(struct ht_file_header)};
    ret->fd = openat(w->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (ret->fd < 0) { // a file system without
        name_beside(w, ret->file, sizeof ret->file);
        ret->fd = openat(w->dir, ret->file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (ret->fd < 0) ret->file[0] = 0;
    }
    struct ht_file_header header;
    errno = EIO; // for what is read or written in part
    bool good = ret->fd >= 0 && pread(w->fd, &header, sizeof header, 0) == sizeof header &&
                pwrite(ret->fd, &header, sizeof header, 0) == sizeof header;
    if (!good) ret->error = errno;
    return good;
}

void writer_abandon(struct writer *other) {
    if (other->file[0]) unlinkat(other->dir, other->file, 0);
    writer_deinit(other);
}

static bool link_beside(const struct writer *w, struct writer *other) {
    char path[64];
    if (other->file[0]) return true;
    name_beside(w, other->file, sizeof other->file);
    snprintf(path, sizeof path, "/proc/self/fd/%d", other->fd);
    if (linkat(AT_FDCWD, path, w->dir, other->file, AT_SYMLINK_FOLLOW) == 0) return true;
    other->file[0] = 0;
    return false;
}

// The name may have been moved away, or given to another file.
static bool has_its_name(const struct writer *w) {
    struct stat by_name, open;
    if (fstatat(w->dir, w->file, &by_name, AT_SYMLINK_NOFOLLOW) || fstat(w->fd, &open)) return false;
    if (by_name.st_dev == open.st_dev && by_name.st_ino == open.st_ino) return true;
    errno = ESTALE;
    return false;
}

bool writer_take_place(struct writer *w, struct writer *other) {
    flock(other->fd, LOCK_EX | LOCK_NB); // before anybody can find it
    bool good = fdatasync(other->fd) == 0 && has_its_name(w) && link_beside(w, other) &&
                renameat(w->dir, other->file, w->dir, w->file) == 0;
    if (!good) {
        other->error = errno;
        return false;
    }
    fsync(w->dir);
    close(w->fd);
    w->fd = other->fd;
    w->bytes = other->bytes;
    w->sequence = other->sequence;
    return true;
}

// ---- Records --------------------------------------------------------------------------------------------------------

static bool keep_in_memory(struct writer *w, const struct ht_record *head, const struct buf *payload, size_t padding) {
    size_t bytes = sizeof *head + payload->len + padding;
    uint8_t *place = w->young.len + bytes <= YOUNG_LIMIT ? buf_grow(&w->young, bytes) : NULL;
    w->young.failed = false; // what is there stays good
    if (!place) {
        if (!w->error) w->error = ENOMEM;
        w->failures++;
        return false;
    }
    memset(place, 0, bytes);
    memcpy(place, head, sizeof *head);
    if (payload->len) memcpy(place + sizeof *head, payload->data, payload->len);
    w->bytes = w->young.len;
    return true;
}

static bool append(struct writer *w, uint16_t type, const struct buf *payload) {
    static const uint8_t zeros[8];
    struct ht_record head = {
        .mark = HT_RECORD_MARK, .type = type, .sequence = w->sequence, .length = (uint32_t)payload->len};
    if (payload->failed || payload->len > HT_MAX_RECORD) {
        w->error = payload->failed ? ENOMEM : EFBIG;
        w->failures++;
        return false;
    }
    head.crc = crc32_of(crc32_of(0, &head.type, 8), payload->data, payload->len);
    size_t padding = (8 - payload->len % 8) % 8;
    if (w->fd < 0 && w->young.len + payload->len > YOUNG_LIMIT && !writer_settle(w)) return false;
    if (w->young.len && !(w->fd >= 0 && writer_settle(w))) return keep_in_memory(w, &head, payload, padding);
    struct iovec parts[3] = {{&head, sizeof head}, {payload->data, payload->len}, {(void *)(uintptr_t)zeros, padding}};
    return write_parts(w, parts, payload->len ? 3 : 1);
}

bool writer_append(struct writer *w, uint16_t type, const struct buf *payload) {
    bool done = append(w, type, payload);
    w->sequence += done;
    return done;
}
