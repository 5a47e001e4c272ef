// SPDX-License-Identifier: Apache-2.0
// launch FD N [NAME=VALUE...] -- COMMAND...: executes COMMAND N times, one after the other, with these variables, and writes to FD
//
//     user+sys CPU in us, wall time in us, peak resident KiB
//
// of all of them together. It is small because a process's peak counts what it shared with its parent before exec, and it is
// no shell so that nothing but COMMAND is run under the variables. Exit status: that of the first COMMAND that failed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

static long long cpu_us(const struct rusage *u) {
    return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000ll + u->ru_utime.tv_usec + u->ru_stime.tv_usec;
}

int main(int argc, char **argv) {
    if (argc < 5) return 125;
    int fd = atoi(argv[1]), runs = atoi(argv[2]), status = 0;
    char **command = argv + 3;
    for (; *command && strcmp(*command, "--") != 0; command++) putenv(*command);
    if (!*command || !*++command) return 125;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    long long began = now_us(), cpu = 0, peak = 0;
    for (int i = 0; i < runs && !status; i++) {
        pid_t pid;
        struct rusage usage;
        if (posix_spawnp(&pid, *command, NULL, NULL, command, environ) != 0) return 127;
        if (wait4(pid, &status, 0, &usage) != pid) return 125;
        cpu += cpu_us(&usage);
        if (usage.ru_maxrss > peak) peak = usage.ru_maxrss;
    }
    dprintf(fd, "%lld %lld %lld\n", cpu, now_us() - began, peak);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
