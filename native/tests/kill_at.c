// SPDX-License-Identifier: Apache-2.0
// kill_at.c: preloaded into the recorder, kills it at one point of a rewriting.
//
//   KILL_AT=N       at the N-th call, from 1, that changes files, since the rewriting began; or at the first of this name
//   KILL_AFTER=1    when that call is done, not before
//   KILL_ROUND=R    in the R-th rewriting, from 1
//   KILL_BEFORE=F   F gets a copy of the capture as it was when that rewriting began
//   KILL_COUNT=F    kills nothing; F gets the number of calls that the rewriting makes
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static long rounds, calls;
static int capture = -1; // the descriptor that was last written to, before the rewriting
static bool inside;

static long setting(const char *name) {
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

static void copy_capture(const char *to) {
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char part[1 << 16];
    ssize_t n;
    for (off_t at = 0; (n = pread(capture, part, sizeof part, at)) > 0; at += n)
        if (write(out, part, (size_t)n) != n) abort();
    close(out);
}

static void begin(void) {
    inside = ++rounds == (setting("KILL_ROUND") ? setting("KILL_ROUND") : 1);
    calls = 0;
    if (inside && getenv("KILL_BEFORE")) copy_capture(getenv("KILL_BEFORE"));
}

static void end(void) {
    const char *count = inside ? getenv("KILL_COUNT") : NULL;
    inside = false;
    FILE *file = count ? fopen(count, "we") : NULL;
    if (!file) return;
    fprintf(file, "%ld\n", calls);
    fclose(file);
}

static bool is_here(const char *name) {
    const char *at = getenv("KILL_AT");
    return at && (calls == atol(at) || !strcmp(at, name));
}

static void pass(const char *name, bool after) {
    if (inside && !after) calls++;
    if (inside && is_here(name) && after == (setting("KILL_AFTER") != 0)) raise(SIGKILL);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define AROUND(call)                                                                                                   \
    pass(__func__, false);                                                                                             \
    __typeof__(call) result = call;                                                                                    \
    pass(__func__, true)

int openat(int dir, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if ((flags & O_TMPFILE) != O_TMPFILE) return NEXT(openat)(dir, path, flags, mode);
    begin();
    AROUND(NEXT(openat)(dir, path, flags, mode));
    return result;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    if (!inside) capture = fd;
    AROUND(NEXT(pwritev)(fd, parts, count, offset));
    return result;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
    AROUND(NEXT(pwrite)(fd, data, bytes, offset));
    return result;
}

int fdatasync(int fd) {
    AROUND(NEXT(fdatasync)(fd));
    return result;
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    AROUND(NEXT(linkat)(from_dir, from, to_dir, to, flags));
    return result;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    AROUND(NEXT(renameat)(from_dir, from, to_dir, to));
    return result;
}

int fsync(int fd) {
    AROUND(NEXT(fsync)(fd));
    end();
    return result;
}
