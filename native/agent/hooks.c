// SPDX-License-Identifier: Apache-2.0
// hooks.c: the few functions besides the allocator's that tell the agent where the program stands.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "agent.h"
#include "modules.h"

// exit was called: what is freed from now on is the ordinary shutdown. main's own return does not come by here: see below.
HT_EXPORT __attribute__((noreturn)) void exit(int status) {
    void (*next)(int) = dlsym(RTLD_NEXT, "exit");
    ht_agent_shutdown_begins();
    next(status);
    __builtin_unreachable();
}

typedef int main_function(int, char **, char **);
static main_function *real_main;

static int main_and_mark(int argc, char **argv, char **envp) {
    atexit(
        ht_agent_shutdown_begins); // for exits from within the C library (err, error): after main's own handlers only
    int status = real_main(argc, argv, envp);
    ht_agent_shutdown_begins();
    return status;
}

typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

// Our constructor has run by now. Unless something is recorded the program starts as if we were not there.
HT_EXPORT int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                                void (*rtld_fini)(void), void *stack_end);
HT_EXPORT int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void),
                                void (*rtld_fini)(void), void *stack_end) {
    start_function *next = (start_function *)dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = main;
    bool marks = ht_books_now() && ht_agent_has_recorder();
    return next(marks ? main_and_mark : main, argc, argv, init, fini, rtld_fini, stack_end);
}

// What was unmapped may be mapped again as something else. (dlopen is left alone: a frame of ours between it and its
// caller would change which RUNPATH applies.)
HT_EXPORT int dlclose(void *handle) {
    static int (*next)(void *);
    if (!next) next = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
    int failed = next(handle);
    ht_modules_closed();
    return failed;
}

// The one call in which a program asks for more than it means: see ht_books_hide_pool.
HT_EXPORT int mlockall(int flags) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "mlockall");
    struct ht_books *b = flags & MCL_CURRENT ? ht_books_now() : NULL;
    uint64_t hidden = b ? ht_books_hide_pool(b) : 0;
    int failed = next(flags);
    if (b) ht_books_show_pool(b, hidden);
    return failed;
}
