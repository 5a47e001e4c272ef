// SPDX-License-Identifier: Apache-2.0
// resizes.c: realloc in every way. It counts as the old block freed, under the function that had received it, and a new
// one allocated here, whether or not the block moved.
#define _GNU_SOURCE
#include "truth.h"
#include <stdint.h>

SITE static void *grows_from_nothing(void) {
    char *block = NULL;
    for (size_t bytes = 16; bytes <= 65536; bytes *= 2) {
        block = realloc(block, hidden(bytes));
        if (!block) abort();
        if (bytes == 16)
            took(16);
        else
            regrew(bytes / 2, bytes);
        memset(block, 'g', bytes);
    }
    KEEP(block);
    return block;
}

SITE static void *shrinks_in_place(void) {
    void *block = malloc(hidden(4000));
    took(4000);
    block = realloc(block, hidden(1000));
    regrew(4000, 1000);
    KEEP(block);
    return block;
}

SITE static void *same_size_again(void) {
    void *block = malloc(hidden(500));
    took(500);
    for (int i = 0; i < 10; i++) {
        block = realloc(block, hidden(500));
        regrew(500, 500);
    }
    KEEP(block);
    return block;
}

// realloc(block, 0) frees under glibc and returns NULL; mimalloc's returns a block of nothing.
SITE static void resizes_to_nothing(void) {
    void *block = malloc(hidden(250));
    took(250);
    void *nothing = realloc(block, hidden(0));
    if (!nothing) {
        gave(__func__, 250);
        return;
    }
    regrew(250, 0);
    free(nothing);
    gave(__func__, 0);
}

SITE static void *is_handed_on(void) {
    void *block = malloc(hidden(2000));
    took(2000);
    KEEP(block);
    return block;
}

SITE static void *resizes_what_another_allocated(void *block) {
    void *grown = realloc(block, hidden(3000));
    gave("is_handed_on", 2000);
    took(3000);
    KEEP(grown);
    return grown;
}

SITE static void *fails_and_keeps(void) {
    void *block = malloc(hidden(800));
    took(800);
    if (realloc(block, hidden(PTRDIFF_MAX))) abort();
    KEEP(block);
    return block;
}

// Large blocks move by mremap under glibc.
SITE static void *grows_by_mremap(void) {
    void *block = malloc(hidden(1 << 20));
    took(1 << 20);
    block = realloc(block, hidden(8 << 20));
    regrew(1 << 20, 8 << 20);
    KEEP(block);
    return block;
}

SITE static void *resizes_an_array(void) {
    void *block = reallocarray(NULL, 10, hidden(30));
    took(300);
    block = reallocarray(block, 20, hidden(30));
    regrew(300, 600);
    KEEP(block);
    return block;
}

// realloc of an aligned block: the alignment is lost, the count is not.
SITE static void *resizes_an_aligned_block(void) {
    void *block = aligned_alloc(4096, hidden(4096));
    took(4096);
    block = realloc(block, hidden(12288));
    regrew(4096, 12288);
    KEEP(block);
    return block;
}

int main(void) {
    void *kept[] = {
        grows_from_nothing(), shrinks_in_place(), same_size_again(),  resizes_what_another_allocated(is_handed_on()),
        fails_and_keeps(),    grows_by_mremap(),  resizes_an_array(), resizes_an_aligned_block(),
    };
    resizes_to_nothing();
    KEEP(kept);
    truth_write(TRUTH_STAYS);
    return 0;
}
