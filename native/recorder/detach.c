// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "detach.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NR_CLOSE_RANGE = 436, OLD_LIMIT = 1 << 16 }; // the number is the same on every architecture

static void close_from_to(unsigned first, unsigned last) {
    if (first > last || syscall(NR_CLOSE_RANGE, first, last, 0) == 0) return;
    for (unsigned fd = first; fd <= last && fd < OLD_LIMIT; fd++) close((int)fd); // before Linux 5.9
}

void close_others(const int *keep, size_t count) {
    for (unsigned first = 3;;) {
        unsigned next = ~0u; // the lowest that is kept, from `first` on
        for (size_t i = 0; i < count; i++)
            if (keep[i] >= (int)first && (unsigned)keep[i] < next) next = (unsigned)keep[i];
        close_from_to(first, next == ~0u ? next : next - 1);
        if (next == ~0u) return;
        first = next + 1;
    }
}

void null_descriptors(int from, int to) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = from; null >= 0 && fd <= to; fd++) dup2(null, fd);
    if (null > to) close(null);
}

void detach(void) {
    static const int limits[] = {RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_AS, RLIMIT_DATA, RLIMIT_CPU};
    setsid();
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit;
        if (getrlimit(limits[i], &limit)) continue;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(limits[i], &limit);
    }
    struct sched_param plain = {0};
    sched_setscheduler(0, SCHED_OTHER, &plain);
    setpriority(PRIO_PROCESS, 0, 5);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    if (chdir("/")) return; // then it stays in the way of an unmount, no more
}

pid_t fork_unheard(void) { return (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL); }
