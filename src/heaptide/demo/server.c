// SPDX-License-Identifier: Apache-2.0
// server.c: the small server of `heaptide demo`. Five handlers answer requests; one of them, chosen on the command line,
// forgets to free what it allocated.
//
//   server LEAKING_HANDLER [SECONDS]     0 login, 1 search, 2 upload, 3 report, 4 logout, -1 none; 2 s unless told
//
// Each leaks in a way of its own: a plain malloc; a handler that the compiler inlines into its dispatcher; a buffer that
// grows by realloc; a string that the C library allocates; a calloc among blocks that are freed in another request.
// When $TRUTH names a file, the server writes there, as JSON, which function leaked, at which line and how much.
// Compile with -O2 -g.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum handler { LOGIN, SEARCH, UPLOAD, REPORT, LOGOUT, HANDLERS };

static const char *const handler_names[HANDLERS] = {
    "handle_login", "handle_search", "handle_upload", "handle_report", "handle_logout",
};

static int leaking = -1;
static struct {
    uint64_t bytes, blocks;
    int line; // of the allocation
} leaked[HANDLERS];

enum { HISTORY = 64 };
static char *history[HISTORY]; // what recent logouts left behind: bounded, as it should be
static unsigned long requests;

// The compiler must not see that a block is never read, or it would remove the allocation.
static void use(void *block) { __asm__ volatile("" : : "r"(block) : "memory"); }

// A handler is done with a block: it frees it, or, where it is the leaking one, forgets it.
static void finish(enum handler handler, void *block, size_t bytes, int line) {
    use(block);
    if (!block) return;
    if (leaking == (int)handler) {
        leaked[handler].bytes += bytes;
        leaked[handler].blocks++;
        leaked[handler].line = line;
        return;
    }
    free(block);
}

__attribute__((noinline)) static void handle_login(size_t size) {
    int line = __LINE__ + 1;
    char *session = malloc(size);
    if (session) memset(session, 'l', size);
    finish(LOGIN, session, size, line);
}

__attribute__((always_inline)) static inline void handle_search(size_t size) {
    int line = __LINE__ + 1;
    uint32_t *hits = malloc(size);
    if (hits) memset(hits, 0, size);
    finish(SEARCH, hits, size, line);
}

__attribute__((noinline)) static void handle_upload(size_t size) {
    char *body = NULL;
    size_t held = 0;
    int line = __LINE__ + 2;
    for (size_t wanted = size / 4; wanted <= size; wanted *= 2) {
        char *grown = realloc(body, wanted);
        if (!grown) break;
        body = grown;
        memset(body + held, 'u', wanted - held);
        held = wanted;
    }
    finish(UPLOAD, body, held, line);
}

__attribute__((noinline)) static void handle_report(size_t size) {
    char page[4096];
    memset(page, 'r', sizeof page);
    page[size < sizeof page ? size - 1 : sizeof page - 1] = 0;
    int line = __LINE__ + 1;
    char *copy = strdup(page);
    finish(REPORT, copy, strlen(page) + 1, line);
}

// Keeps a short history of who left and frees what falls out of it.
__attribute__((noinline)) static void handle_logout(size_t size) {
    char **slot = &history[requests % HISTORY];
    free(*slot);
    *slot = calloc(1, 256);
    int line = __LINE__ + 1;
    char *farewell = calloc(size / 16, 16);
    finish(LOGOUT, farewell, size / 16 * 16, line);
}

__attribute__((noinline)) static void dispatch(enum handler handler, size_t size) {
    switch (handler) {
    case LOGIN: handle_login(size); break;
    case SEARCH: handle_search(size); break;
    case UPLOAD: handle_upload(size); break;
    case REPORT: handle_report(size); break;
    default: handle_logout(size); break;
    }
    requests++;
}

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

// Answers requests at a steady pace, about 2,000 a second for each handler, so that the rate of growth is steady too.
__attribute__((noinline)) static void serve(double seconds) {
    struct timespec start, pause = {0, 1000 * 1000};
    clock_gettime(CLOCK_MONOTONIC, &start);
    uint32_t dice = 12345;
    for (double elapsed; (elapsed = seconds_since(&start)) < seconds;) {
        while (requests < HANDLERS * 2000 * elapsed) {
            dice = dice * 1664525u + 1013904223u;
            dispatch((enum handler)(requests % HANDLERS), 1024 + (dice >> 24) * 8); // 1 KiB to 3 KiB
        }
        nanosleep(&pause, NULL);
    }
}

static void write_truth(void) {
    const char *path = getenv("TRUTH");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    if (leaking < 0)
        fprintf(file, "{\"function\": null, \"line\": null, \"bytes\": 0, \"objects\": 0}\n");
    else
        fprintf(file, "{\"function\": \"%s\", \"line\": %d, \"bytes\": %lu, \"objects\": %lu}\n",
                handler_names[leaking], leaked[leaking].line, (unsigned long)leaked[leaking].bytes,
                (unsigned long)leaked[leaking].blocks);
    fclose(file);
}

int main(int argc, char **argv) {
    leaking = argc > 1 ? atoi(argv[1]) : 0;
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    if (leaking < -1 || leaking >= HANDLERS || seconds <= 0) {
        fprintf(stderr, "usage: %s LEAKING_HANDLER(0..%d, -1 none) [SECONDS]\n", argv[0], HANDLERS - 1);
        return 2;
    }
    serve(seconds);
    printf("server: %lu requests in %.1f s\n", requests, seconds);
    write_truth();
    for (int i = 0; i < HISTORY; i++) free(history[i]);
    return 0;
}
