// SPDX-License-Identifier: Apache-2.0
// plugin.c: a library to open and close. Compiled several times, with another NAME each.
#include <stdlib.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

__attribute__((noinline)) void *JOIN(NAME, _keeps)(size_t bytes) {
    void *p = malloc(bytes);
    __asm__ volatile("" ::"r"(p) : "memory");
    return p;
}

// By one name for all, so that the program can ask each for its own.
void *plugin_keeps(size_t bytes) {
    void *p = JOIN(NAME, _keeps)(bytes);
    __asm__ volatile("" ::"r"(p) : "memory");
    return p;
}

void plugin_frees(void *p) { free(p); }
