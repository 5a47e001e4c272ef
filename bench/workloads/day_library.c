// SPDX-License-Identifier: Apache-2.0
// day_library.c: compiled twice, with NAME as the function that allocates: the libraries that day.c opens and closes.
#include <stdlib.h>

__attribute__((noinline)) void *NAME(size_t size) {
    void *block = malloc(size);
    __asm__ volatile("" ::"r"(block) : "memory");
    return block;
}
