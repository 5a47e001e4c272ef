// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "command.h"

#include "detach.h"
#include "listen.h"
#include "output.h"
#include "preflight.h"
#include "server.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct launch {
    const struct options *options;
    struct output output;
    char agent[PATH_MAX];
    char program[PATH_MAX]; // the file that will be executed
    char address[ADDRESS_BYTES];
    int listen_fd; // -1: nothing will be recorded
};

// ---- COMMAND --------------------------------------------------------------------------------------------------------

// One entry is put in front; what stood there stays.
static void prepend_preload(const char *agent) {
    const char *before = getenv("LD_PRELOAD");
    struct buf value = {0};
    buf_put(&value, agent, strlen(agent));
    if (before && *before) buf_put(&value, ":", 1);
    buf_put_str(&value, before ? before : "");
    if (!value.failed) setenv("LD_PRELOAD", (const char *)value.data, 1);
    buf_deinit(&value);
}

static void set_environment(const struct launch *launch) {
    const struct options *o = launch->options;
    if (launch->listen_fd < 0) return;
    prepend_preload(launch->agent);
    setenv("HEAPTIDE_SOCKET", launch->address, 1);
    if (o->exact) setenv("HEAPTIDE_EXACT", "1", 1);
    if (o->sample) setenv("HEAPTIDE_SAMPLE", o->sample, 1);
    if (!o->children) setenv("HEAPTIDE_CHILDREN", "0", 1);
}

static int execute(const struct launch *launch) {
    char **argv = launch->options->command;
    set_environment(launch);
    execvp(argv[0], argv);
    int error = errno;
    say("%s: cannot be executed: %s", argv[0], strerror(error));
    return error == ENOENT || error == ENOTDIR ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}

// ---- The recorder ---------------------------------------------------------------------------------------------------

static _Noreturn void record(const struct launch *launch, int control_fd, int watch_pid) {
    int keep[] = {launch->listen_fd, launch->output.dir, control_fd, launch->options->clock_fd};
    say_nothing();
    detach();
    null_descriptors(0, 2);
    close_others(keep, sizeof keep / sizeof *keep);
    struct server_setup setup = {.options = launch->options,
                                 .output = &launch->output,
                                 .listen_fd = launch->listen_fd,
                                 .address = launch->address,
                                 .program = launch->program,
                                 .control_fd = control_fd,
                                 .watch_pid = watch_pid};
    server_run(&setup);
    _exit(0);
}

// In the process in between. Returns when the recorder is about to serve: it closes everything it does not need, and so its
// end of the pipe. A recorder that slept until COMMAND is over could not look at it any more.
static bool start_recorder(const struct launch *launch, int watch_pid) {
    int ready[2];
    char byte;
    if (pipe(ready)) return false;
    pid_t recorder = fork();
    if (recorder == 0) record(launch, -1, watch_pid);
    close(ready[1]);
    while (recorder > 0 && read(ready[0], &byte, 1) < 0 && errno == EINTR) {
    }
    return recorder > 0;
}

// The recorder becomes a grandchild in a session of its own, and the child in between is waited for here: COMMAND, which
// takes over this process, never sees one.
static bool fork_recorder_away(const struct launch *launch) {
    int pid = getpid(), status = 0;
    pid_t between = fork_unheard();
    if (between == 0) _exit(!start_recorder(launch, pid));
    while (between > 0 && waitpid(between, &status, __WALL) < 0 && errno == EINTR) {
    }
    return between > 0 && status == 0;
}

// ---- As PID 1 (or a subreaper): stay the parent, hand on signals, reap orphans ---------------------------------------------

static pid_t fork_command(const struct launch *launch, const sigset_t *mask) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    sigprocmask(SIG_SETMASK, mask, NULL);
    _exit(execute(launch));
}

// Reaps whatever ended. True when `pid` did.
static bool reap(pid_t pid, int *ret_status) {
    bool ended = false;
    int status;
    for (pid_t child; (child = waitpid(-1, &status, WNOHANG)) > 0;)
        if (child == pid) {
            ended = true;
            *ret_status = status;
        }
    return ended;
}

static int wait_for_command(pid_t pid, const sigset_t *all) {
    int status = 0;
    while (!reap(pid, &status)) {
        siginfo_t info;
        int number = sigwaitinfo(all, &info);
        bool by_terminal = info.si_code == SI_KERNEL; // it reached COMMAND as well
        if (number > 0 && number != SIGCHLD && !by_terminal) kill(pid, number);
    }
    return status;
}

// Gives the recorder time for its last word: when we are PID 1 it dies with us.
static void wait_for_recorder(int control_fd, pid_t pid, int status) {
    char line[4096];
    int n = snprintf(line, sizeof line, "ended %d %d\n", (int)pid, status);
    struct timeval patience = {.tv_sec = 3};
    setsockopt(control_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (send(control_fd, line, (size_t)n, MSG_NOSIGNAL) < 0) return;
    shutdown(control_fd, SHUT_WR);
    while (recv(control_fd, line, sizeof line, 0) > 0) {
    }
}

static int stay_the_parent(const struct launch *launch) {
    int control[2] = {-1, -1};
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    bool recorded = launch->listen_fd >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) == 0;
    if (recorded && fork() == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        record(launch, control[1], 0);
    }
    if (recorded) close(control[1]);
    pid_t pid = fork_command(launch, &before);
    if (pid < 0) {
        say("cannot start a process: %s", strerror(errno));
        return STATUS_OURS;
    }
    int status = wait_for_command(pid, &all);
    if (recorded) wait_for_recorder(control[0], pid, status);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// ---- Both -----------------------------------------------------------------------------------------------------------

// Sets up what recording needs; what is missing is said, and COMMAND runs all the same.
static void prepare(struct launch *launch) {
    const struct options *o = launch->options;
    if (!find_agent(o->agent, launch->agent, sizeof launch->agent))
        say("no agent at %s: nothing will be recorded; --agent PATH says where libheaptide.so is",
            *launch->agent ? launch->agent : "this program's side");
    else if (!output_init(&launch->output, o->output))
        say("cannot write to %s: %s: nothing will be recorded; choose another place with --output",
            output_place(&launch->output), strerror(errno));
    else if ((launch->listen_fd = listen_at_random(launch->address)) < 0)
        say("no socket to listen at: %s: nothing will be recorded", strerror(errno));
}

int command_run(const struct options *options) {
    struct launch launch = {.options = options, .listen_fd = -1};
    char message[PREFLIGHT_TEXT];
    enum preflight_result found = preflight(options->command[0], message, launch.program);
    if (*message) say("%s", message);
    if (found == PREFLIGHT_NOT_FOUND) return STATUS_NOT_FOUND;
    if (found == PREFLIGHT_NOT_EXECUTABLE) return STATUS_NOT_EXECUTABLE;
    if (found == PREFLIGHT_GOOD) prepare(&launch);
    int subreaper = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    if (getpid() == 1 || subreaper) return stay_the_parent(&launch);
    if (launch.listen_fd >= 0 && !fork_recorder_away(&launch)) {
        say("cannot start the recorder: %s: nothing will be recorded", strerror(errno));
        launch.listen_fd = -1; // close-on-exec
    }
    return execute(&launch);
}
