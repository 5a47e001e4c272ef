// SPDX-License-Identifier: Apache-2.0
// libc_callers.c: blocks that the C library allocates for the program. The frame on top is libc's; the site is ours.
#define _GNU_SOURCE
#include "truth.h"

static const char text[] = "forty-two characters, and not a single one";

SITE static char *by_strdup(void) {
    char *copy = strdup(text);
    took(sizeof text);
    KEEP(copy);
    return copy;
}

SITE static char *by_strndup(void) {
    char *copy = strndup(text, hidden(9));
    took(10);
    KEEP(copy);
    return copy;
}

// getline says in `room` what it asked for; a short line is one allocation.
SITE static char *by_getline(FILE *stream) {
    char *line = NULL;
    size_t room = 0;
    if (getline(&line, &room, stream) < 0) abort();
    took(room);
    KEEP(line);
    return line;
}

SITE static void frees_strdup(void) {
    char *copy = strdup(text);
    took(sizeof text);
    KEEP(copy);
    free(copy);
    gave(__func__, sizeof text);
}

int main(void) {
    static char lines[] = "a line\nanother\nand a third\n", buffer[BUFSIZ];
    FILE *stream = fmemopen(lines, sizeof lines - 1, "r");
    if (!stream || setvbuf(stream, buffer, _IOFBF, sizeof buffer)) abort(); // or the first getline allocates one
    for (int i = 0; i < 3; i++) {
        char *kept[] = {by_strdup(), by_strndup(), by_getline(stream)};
        KEEP(kept);
        frees_strdup();
    }
    truth_write(TRUTH_STAYS);
    return 0;
}
