// SPDX-License-Identifier: Apache-2.0
// children.c: every way to make a process.
#define _GNU_SOURCE
#include "torture.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>

extern char **environ;

// A vfork child writes into its parent's memory: a tool that takes it for a process of its own corrupts its parent.
static int vforks(void) {
    void *before = malloc(1000);
    for (volatile int i = 0; i < 20; i++) {
        volatile int pid = vfork();
        if (pid == 0) {
            churn(3); // not allowed by the letter; programs do it
            execl("/bin/true", "true", (char *)NULL);
            _exit(1);
        }
        check(status_of(pid) == 0, "true");
        churn(20);
    }
    free(before);
    int pid;
    char *words[] = {"sh", "-c", "echo spawned; exit 5", NULL};
    check(posix_spawnp(&pid, "sh", NULL, NULL, words, environ) == 0 && status_of(pid) == 5, "posix_spawn");
    check(WEXITSTATUS(system("echo by system; exit 6")) == 6, "system");
    FILE *pipe = popen("echo by popen", "r");
    char line[32] = "";
    check(pipe && fgets(line, sizeof line, pipe) && pclose(pipe) == 0, "popen");
    say(line);
    return 0;
}

static void *inherited[2000];

// Workers free what they inherited: that is no allocation of theirs, and what they hold is never less than nothing.
static int prefork(void) {
    enum { WORKERS = 4 };
    int pids[WORKERS];
    for (int i = 0; i < 2000; i++) inherited[i] = malloc((size_t)i + 1);
    for (int w = 0; w < WORKERS; w++) {
        pids[w] = fork();
        if (pids[w]) continue;
        for (int i = 0; i < 2000; i++) free(inherited[i]);
        for (int i = 0; i < 100; i++) inherited[i] = malloc(777);
        churn(3000);
        _exit(40 + w);
    }
    for (int w = 0; w < WORKERS; w++) check(status_of(pids[w]) == 40 + w, "a worker");
    for (int i = 0; i < 2000; i++) free(inherited[i]);
    say("served\n");
    return 0;
}

// Twice forked, in a session of its own, all descriptors elsewhere. It says that it is done through the pipe that is left.
static int daemonised(void) {
    int pipe_fds[2];
    char byte = 0;
    check(pipe(pipe_fds) == 0, "pipe");
    int pid = fork();
    if (pid == 0) {
        setsid();
        if (fork()) _exit(0);
        check(chdir("/") == 0, "chdir");
        int null = open("/dev/null", O_RDWR);
        for (int i = 0; i < 3; i++) dup2(null, i);
        churn(5000);
        if (write(pipe_fds[1], "d", 1) != 1) _exit(1);
        _exit(0);
    }
    close(pipe_fds[1]);
    check(status_of(pid) == 0, "the first child");
    check(read(pipe_fds[0], &byte, 1) == 1 && byte == 'd', "the daemon");
    say("a daemon\n");
    return 0;
}

// It inherits every orphan: one that it never made would be found by its wait.
static int subreaper(void) {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            churn(500);
            _exit(9);
        }
        _exit(8);
    }
    int seen = 0, sum = 0, status;
    while (wait(&status) > 0) seen++, sum += WEXITSTATUS(status);
    check(seen == 2 && sum == 17, "children that are not ours");
    execl("/proc/self/exe", "subreaper_again", "reaps_nobody", (char *)NULL); // subreapers stay so over exec
    return 1;
}

static int reaps_nobody(void) {
    churn(1000);
    check(wait(NULL) < 0, "a child from nowhere");
    say("nobody to reap\n");
    return 0;
}

static int plain(void) {
    churn(20000);
    say("plain\n");
    return 12;
}

int main(int argc, char **argv) {
    static const struct hazard all[] = {
        HAZARD(vforks),
        HAZARD(prefork),
        HAZARD(daemonised),
        HAZARD(subreaper),
        HAZARD(reaps_nobody),
        HAZARD(plain),
        {0},
    };
    return run_hazard(all, argc, argv);
}
