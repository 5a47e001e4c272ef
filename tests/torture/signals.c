// SPDX-License-Identifier: Apache-2.0
// signals.c: handlers that allocate, on the stack they interrupted and on one of their own, and that leave by longjmp.
// outside: they strike anywhere but in the allocator, so any allocator will do. inside, leaves: anywhere at all, malloc itself
// included: for signal_safe_malloc.c alone.
#define _GNU_SOURCE
#include "torture.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

enum { STRIKES = 400, HANDLER_BYTES = 77 };

static volatile sig_atomic_t strikes, in_allocator, spare_allocator, may_leave;
static sigjmp_buf way_out;

static SITE void handler_allocates(void) {
    void *p = malloc(HANDLER_BYTES);
    void *q = calloc(3, 40);
    p = realloc(p, 500);
    free(q);
    free(p);
}

static void strike(int signal) {
    (void)signal;
    strikes++;
    if (spare_allocator && in_allocator) return;
    handler_allocates();
    if (may_leave && strikes % 2) siglongjmp(way_out, 1);
}

static void arm(int flags) {
    struct sigaction action = {.sa_handler = strike, .sa_flags = SA_RESTART | flags};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval often = {.it_interval.tv_usec = 100, .it_value.tv_usec = 100};
    setitimer(ITIMER_REAL, &often, NULL);
}

static void disarm(void) {
    struct itimerval never = {0};
    setitimer(ITIMER_REAL, &never, NULL);
}

static SITE void deeper(int depth) {
    if (depth) {
        deeper(depth - 1);
        __asm__ volatile(""); // no tail call
        return;
    }
    in_allocator = 1;
    void *p = malloc(100);
    in_allocator = 0;
    for (volatile int i = 0; i < 50; i++) {
    }
    in_allocator = 1;
    free(p);
    in_allocator = 0;
}

static void work_until_struck(void) {
    for (unsigned i = 0; strikes < STRIKES; i++) deeper((int)(i % 23));
    disarm();
}

static int outside(void) {
    spare_allocator = 1;
    arm(0);
    work_until_struck();
    say("struck outside\n");
    return 3;
}

static char own_stack[64 << 10];

static int on_alternate_stack(void) {
    stack_t stack = {.ss_sp = own_stack, .ss_size = sizeof own_stack};
    sigaltstack(&stack, NULL);
    spare_allocator = 1;
    arm(SA_ONSTACK);
    work_until_struck();
    say("struck on another stack\n");
    return 3;
}

static int inside(void) {
    arm(0);
    work_until_struck();
    say("struck inside\n");
    return 3;
}

static int inside_on_alternate_stack(void) {
    stack_t stack = {.ss_sp = own_stack, .ss_size = sizeof own_stack};
    sigaltstack(&stack, NULL);
    arm(SA_ONSTACK);
    work_until_struck();
    say("struck inside, on another stack\n");
    return 3;
}

// The alternate stack lies above the one that is interrupted: comparing stack pointers tells nothing.
static void *works_below(void *stack_above) {
    stack_t stack = {.ss_sp = stack_above, .ss_size = sizeof own_stack};
    sigaltstack(&stack, NULL);
    sigset_t all;
    sigemptyset(&all);
    sigaddset(&all, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &all, NULL);
    work_until_struck();
    return NULL;
}

static int inside_on_stack_above(void) {
    enum { BELOW = 256 << 10 };
    char *both = mmap(NULL, BELOW + sizeof own_stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(both != MAP_FAILED, "mmap");
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL); // it strikes the thread alone
    pthread_attr_t below;
    pthread_attr_init(&below);
    pthread_attr_setstack(&below, both, BELOW);
    arm(SA_ONSTACK);
    pthread_t thread;
    check(!pthread_create(&thread, &below, works_below, both + BELOW), "a thread");
    pthread_join(thread, NULL);
    say("struck inside, on a stack above\n");
    return 3;
}

// Each abandoned malloc may lose its block, and the tool one operation; the rest goes on.
static int leaves(void) {
    may_leave = 1;
    if (sigsetjmp(way_out, 1) == 0) arm(0);
    work_until_struck();
    may_leave = 0;
    say("left, and back\n");
    return 3;
}

// The same where every allocation has a stack of its own, so that what is left is as often as not the making of an entry of the
// log, and between mappings: none of what only the one who left could give back may be taken for ever.
static SITE void down(unsigned way, int depth) {
    if (depth == 0) {
        free(malloc(100));
        void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (way % 16 == 0 && mapped != MAP_FAILED) munmap(mapped, 4096);
    } else if (way & 1) {
        down(way >> 1, depth - 1);
        __asm__ volatile("nop");
    } else {
        down(way >> 1, depth - 1);
        __asm__ volatile("");
    }
}

static int leaves_new_stacks(void) {
    enum { DEPTH = 14 };
    static volatile unsigned way;
    may_leave = 1;
    if (sigsetjmp(way_out, 1) == 0) arm(0);
    while (strikes < 2 * STRIKES) down(way++, DEPTH);
    disarm();
    may_leave = 0;
    for (time_t end = time(NULL) + 2; time(NULL) < end;)
        down(way++ % 64, DEPTH); // to find out what was left, and go on
    say("left new stacks, and back\n");
    return 3;
}

int main(int argc, char **argv) {
    static const struct hazard all[] = {
        HAZARD(outside),
        HAZARD(on_alternate_stack),
        HAZARD(inside),
        HAZARD(inside_on_alternate_stack),
        HAZARD(inside_on_stack_above),
        HAZARD(leaves),
        HAZARD(leaves_new_stacks),
        {0},
    };
    return run_hazard(all, argc, argv);
}
