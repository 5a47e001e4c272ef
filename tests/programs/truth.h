// SPDX-License-Identifier: Apache-2.0
// truth.h: how a program with known answers keeps its own count and says it. For C and C++; allocates nothing itself.
//
//   took(bytes)            this function received a block of `bytes` requested bytes
//   gave(site, bytes)      a block that function `site` had received went back
//   regrew(old, new)       both, for a realloc: what a profiler sees is the old block freed and a new one allocated here
//   truth_write(exit)      write the count as JSON to the file named in $TRUTH, or to standard output
//
// What the document says: for each function the bytes and objects it ever received, and those still in use at two
// moments: "end", which is now, just before an ordinary shutdown, and "exit", which is after it.
//
//   {"schema": 1, "end": {"FUNCTION": {"alloc_space": N, "alloc_objects": N, "inuse_space": N, "inuse_objects": N}, ...},
//    "exit": {...}}
#ifndef TRUTH_H
#define TRUTH_H

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __clang__
#define SITE __attribute__((noinline)) // a function whose frame must be seen under its own name
#else
#define SITE __attribute__((noinline, noclone))
#endif

// The compiler must believe that the block is used and that the call before this was not the last thing done: otherwise
// it deletes pairs of malloc and free, and turns the call into a jump that leaves no frame.
#define KEEP(block) __asm__ volatile("" : : "r"(block) : "memory")

// A size that the compiler cannot know, so that it neither folds nor warns about one that must fail.
static inline size_t hidden(size_t size) {
    __asm__ volatile("" : "+r"(size));
    return size;
}

enum truth_exit { TRUTH_STAYS, TRUTH_ALL_FREED }; // what the ordinary shutdown does with what is in use at "end"

struct truth_site {
    const char *function;
    long alloc_space, alloc_objects, inuse_space, inuse_objects;
};

enum { TRUTH_SITES = 64 };
static struct truth_site truth_sites[TRUTH_SITES];
static char truth_lock; // sites are few and counted rarely: a spin lock does

static inline void truth_add(const char *function, long alloc_space, long alloc_objects, long space, long objects) {
    while (__atomic_test_and_set(&truth_lock, __ATOMIC_ACQUIRE)) {
    }
    struct truth_site *site = truth_sites;
    while (site->function && strcmp(site->function, function) != 0) site++;
    if (site == truth_sites + TRUTH_SITES - 1) abort(); // raise TRUTH_SITES
    site->function = function;
    site->alloc_space += alloc_space;
    site->alloc_objects += alloc_objects;
    site->inuse_space += space;
    site->inuse_objects += objects;
    __atomic_clear(&truth_lock, __ATOMIC_RELEASE);
}

static inline void took_by(const char *site, size_t bytes) { truth_add(site, (long)bytes, 1, (long)bytes, 1); }
static inline void gave(const char *site, size_t bytes) { truth_add(site, 0, 0, -(long)bytes, -1); }

#define took(bytes) took_by(__func__, (bytes))
#define regrew(old_bytes, new_bytes) (gave(__func__, (old_bytes)), took_by(__func__, (new_bytes)))

struct truth_text {
    char bytes[16384];
    size_t used;
};

static inline void truth_sites_text(struct truth_text *text, const char *moment, int all_freed) {
    const char *comma = "";
    text->used += (size_t)snprintf(text->bytes + text->used, sizeof text->bytes - text->used, "\"%s\": {", moment);
    for (const struct truth_site *site = truth_sites; site->function; site++, comma = ",") {
        text->used += (size_t)snprintf(text->bytes + text->used, sizeof text->bytes - text->used,
                                       "%s\n  \"%s\": {\"alloc_space\": %ld, \"alloc_objects\": %ld, "
                                       "\"inuse_space\": %ld, \"inuse_objects\": %ld}",
                                       comma, site->function, site->alloc_space, site->alloc_objects,
                                       all_freed ? 0 : site->inuse_space, all_freed ? 0 : site->inuse_objects);
        if (text->used >= sizeof text->bytes) abort(); // raise it
    }
    text->used += (size_t)snprintf(text->bytes + text->used, sizeof text->bytes - text->used, "}");
}

static inline void truth_write(enum truth_exit at_exit) {
    static struct truth_text text;
    text.used = (size_t)snprintf(text.bytes, sizeof text.bytes, "{\"schema\": 1, ");
    truth_sites_text(&text, "end", 0);
    text.used += (size_t)snprintf(text.bytes + text.used, sizeof text.bytes - text.used, ",\n");
    truth_sites_text(&text, "exit", at_exit == TRUTH_ALL_FREED);
    text.used += (size_t)snprintf(text.bytes + text.used, sizeof text.bytes - text.used, "}\n");
    const char *path = getenv("TRUTH");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : STDOUT_FILENO;
    if (file < 0 || write(file, text.bytes, text.used) != (ssize_t)text.used) abort();
    if (path) close(file);
}

#endif
