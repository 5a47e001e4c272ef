// SPDX-License-Identifier: Apache-2.0
// torture.h: what the hazards share. Each source holds a few small programs, chosen by the first word of the command line.
// What they print depends on nothing but themselves, so that it can be compared with and without the tool.
#ifndef TORTURE_H
#define TORTURE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE __attribute__((noinline))
#define HAZARD(name)                                                                                                   \
    { #name, name }

struct hazard {
    const char *name;
    int (*run)(void);
};

static inline void say(const char *text) { // no stdio: it allocates, and a handler may call this
    ssize_t n = write(1, text, strlen(text));
    (void)n;
}

static inline void check(bool holds, const char *what) {
    if (holds) return;
    say("FAILED: ");
    say(what);
    say("\n");
    _exit(99);
}

static inline int status_of(int pid) {
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Allocates, resizes and frees; what it holds stays below a few hundred KiB, and is nothing at its end.
static SITE __attribute__((unused)) void churn(unsigned rounds) {
    enum { SLOTS = 64 };
    void *slot[SLOTS] = {0};
    uint32_t x = 12345;
    for (unsigned i = 0; i < rounds; i++) {
        x = x * 1664525u + 1013904223u;
        void **s = &slot[x >> 26];
        size_t size = (x >> 8) % (i % 16 ? 300 : 9000);
        if (x & 64 && *s) {
            void *grown = realloc(*s, size + 1);
            if (grown) *s = grown;
        } else {
            free(*s);
            *s = x & 128 ? malloc(size) : calloc(1, size);
        }
        if (*s && size) memset(*s, 0x5a, size < 64 ? size : 64);
    }
    for (int i = 0; i < SLOTS; i++) free(slot[i]);
}

static inline int run_hazard(const struct hazard *all, int argc, char **argv) {
    churn(2000); // enough for every capture to have samples in it
    for (const struct hazard *h = all; argc > 1 && h->name; h++)
        if (!strcmp(h->name, argv[1])) return h->run();
    return 98;
}

#endif
