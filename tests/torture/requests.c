// SPDX-License-Identifier: Apache-2.0
// requests.c: what nobody should ask an allocator for, and some do. Printed: which of them got memory, which errno they left.
#include "torture.h"

#include <errno.h>
#include <malloc.h>

static void tell(const char *what, const void *block, int error) {
    char line[100];
    snprintf(line, sizeof line, "%s: %s, error %d\n", what, block ? "memory" : "none", block ? 0 : error);
    say(line);
}

#define TELL(expression)                                                                                               \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        void *block_ = (expression);                                                                                   \
        tell(#expression, block_, errno);                                                                              \
        free(block_);                                                                                                  \
    } while (0)

static volatile size_t huge = (size_t)1 << 62, zero, half = (size_t)1 << 33; // volatile: the compiler must not know

static int odd(void) {
    for (int i = 0; i < 20; i++) { // from every call path more than once: sampled mode has its moments too
        TELL(malloc(zero));
        TELL(malloc(huge));
        TELL(malloc(~zero));
        TELL(calloc(zero, 8));
        TELL(calloc(half, half));
        TELL(calloc(huge, 2));
        TELL(realloc(NULL, 10));
        TELL(realloc(NULL, huge));
        TELL(reallocarray(NULL, half, half));
        TELL(aligned_alloc(64, 128));
        TELL(memalign(4096, 10));
        TELL(memalign(64, huge));
        TELL(valloc(10));
        TELL(pvalloc(10));
    }
    return 0;
}

static int failures(void) {
    void *p = NULL;
    check(posix_memalign(&p, 3, 10) == EINVAL && !p, "an odd alignment");
    check(posix_memalign(&p, 64, huge) == ENOMEM && !p, "too much, aligned");
    for (int i = 0; i < 1000; i++) {
        char *kept = malloc(100);
        memcpy(kept, "kept", 5);
        check(!realloc(kept, huge) && !strcmp(kept, "kept"), "a block survives a realloc that fails");
        check(!reallocarray(kept, half, half) && !strcmp(kept, "kept"), "or one that overflows");
        free(kept);
    }
    say("failed as they should\n");
    return 0;
}

// Every byte that malloc_usable_size promises is the program's.
static int usable(void) {
    for (size_t size = 0; size < 5000; size += size < 100 ? 1 : 97) {
        char *p = malloc(size);
        size_t room = malloc_usable_size(p);
        check(room >= size, "room");
        memset(p, 0xa5, room);
        p = realloc(p, room + 1);
        for (size_t i = 0; i < room; i++) check((unsigned char)p[i] == 0xa5, "contents");
        free(p);
        char *z = calloc(1, size);
        for (size_t i = 0; i < size; i++) check(!z[i], "zeros");
        free(z);
        for (size_t alignment = 16; alignment <= 8192; alignment *= 2) {
            char *a = memalign(alignment, size);
            check((uintptr_t)a % alignment == 0, "alignment");
            memset(a, 0x5a, size);
            free(a);
        }
    }
    say("usable\n");
    return 0;
}

int main(int argc, char **argv) {
    static const struct hazard all[] = {HAZARD(odd), HAZARD(failures), HAZARD(usable), {0}};
    return run_hazard(all, argc, argv);
}
