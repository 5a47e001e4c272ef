// SPDX-License-Identifier: Apache-2.0
// asker.c: preloaded beside the agent; asks the allocator itself. When, in the program that ASKER_PROGRAM names, a byte arrives
// in the FIFO that ASKER_IN names, it writes one line of JSON into ASKER_OUT (created whole, by a rename): what is in use, what
// is free and what the allocator's own books take, in bytes, by mallinfo2, mallctl (jemalloc) or MallocExtension (gperftools),
// whichever is there. Its thread allocates nothing.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int mallctl_function(const char *, void *, size_t *, void *, size_t);
typedef int property_function(const char *, size_t *);
typedef void statistics_function(char *, int);

static mallctl_function *mallctl_;
static property_function *property;
static statistics_function *statistics;

static size_t jemalloc_says(const char *name) {
    size_t value = 0, bytes = sizeof value;
    mallctl_(name, &value, &bytes, NULL, 0);
    return value;
}

static size_t tcmalloc_says(const char *name) {
    size_t value = 0;
    property(name, &value);
    return value;
}

// Only the text for people tells of them: "MALLOC: +   2883744 (    2.8 MiB) Bytes in malloc metadata".
static size_t tcmalloc_books(void) {
    static char text[8192];
    statistics(text, sizeof text);
    char *found = strstr(text, "Bytes in malloc metadata");
    if (!found) return 0;
    while (found > text && found[-1] != '+') found--;
    return strtoul(found, NULL, 10);
}

static int write_down(char *ret, size_t bytes, const char *name, size_t used, size_t unused, size_t books) {
    return snprintf(ret, bytes, "{\"allocator\": \"%s\", \"in_use\": %zu, \"free\": %zu, \"books\": %zu}\n", name, used,
                    unused, books);
}

static int answer(char *ret, size_t bytes) {
    if (mallctl_) {
        unsigned long long epoch = 1;
        mallctl_("epoch", NULL, NULL, &epoch, sizeof epoch);
        size_t used = jemalloc_says("stats.allocated"), resident = jemalloc_says("stats.resident");
        size_t books = jemalloc_says("stats.metadata"); // all of it is in `resident`, whether touched or not
        return write_down(ret, bytes, "jemalloc", used, resident - books - used, books);
    }
    if (property) {
        size_t used = tcmalloc_says("generic.current_allocated_bytes"), heap = tcmalloc_says("generic.heap_size");
        size_t returned = tcmalloc_says("tcmalloc.pageheap_unmapped_bytes");
        return write_down(ret, bytes, "tcmalloc", used, heap - returned - used, tcmalloc_books());
    }
    struct mallinfo2 info = mallinfo2();
    return write_down(ret, bytes, "libc", info.uordblks + info.hblkhd, info.fordblks, 0);
}

static void *serve(void *unused) {
    char byte, text[256], fresh[4096];
    const char *out = getenv("ASKER_OUT");
    int in = open(getenv("ASKER_IN"), O_RDWR | O_CLOEXEC); // both: it never ends
    snprintf(fresh, sizeof fresh, "%s.new", out);
    while (read(in, &byte, 1) == 1) {
        int file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int length = answer(text, sizeof text);
        if (write(file, text, (size_t)length) == length) rename(fresh, out);
        close(file);
    }
    return unused;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    sigset_t all, before;
    const char *program = getenv("ASKER_PROGRAM");
    if (!program || strcmp(program, program_invocation_short_name) != 0) return;
    mallctl_ = (mallctl_function *)dlsym(RTLD_DEFAULT, "mallctl");
    property = (property_function *)dlsym(RTLD_DEFAULT, "MallocExtension_GetNumericProperty");
    statistics = (statistics_function *)dlsym(RTLD_DEFAULT, "MallocExtension_GetStats");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_create(&thread, NULL, serve, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
