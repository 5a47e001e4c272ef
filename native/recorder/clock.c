// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "clock.h"

#include "sys.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static struct moment forward; // what was put forward so far; realtime may have wrapped below zero, which sums undo

static struct {
    int fd;
    bool heard;
    struct clock_request request;
} driver = {.fd = -1};

struct moment moment_now(void) {
    return clock_moved((struct moment){.realtime_ns = ht_sys_realtime_ns(), .boottime_ns = ht_sys_boottime_ns()});
}

struct moment moment_at(uint64_t boottime_ns) {
    struct moment now = moment_now();
    return (struct moment){.realtime_ns = now.realtime_ns - (now.boottime_ns - boottime_ns),
                           .boottime_ns = boottime_ns};
}

struct moment clock_moved(struct moment by_system) {
    return (struct moment){.realtime_ns = by_system.realtime_ns + forward.realtime_ns,
                           .boottime_ns = by_system.boottime_ns + forward.boottime_ns};
}

// ---- The injected clock ---------------------------------------------------------------------------------------------

static void forget_driver(void) {
    close(driver.fd);
    driver.fd = -1;
    driver.heard = false;
}

void clock_inject(int fd) { driver.fd = fd; }

int clock_fd(void) { return driver.fd; }

bool clock_hear(void) {
    if (driver.fd < 0 || driver.heard) return driver.heard;
    ssize_t n = recv(driver.fd, &driver.request, sizeof driver.request, MSG_DONTWAIT);
    driver.heard = n == sizeof driver.request;
    if (!driver.heard && !(n < 0 && (errno == EAGAIN || errno == EINTR))) forget_driver();
    return driver.heard;
}

void clock_obey(void) {
    forward.boottime_ns += driver.request.forward_ns;
    forward.realtime_ns += driver.request.forward_ns + (uint64_t)driver.request.realtime_jump_ns;
    driver.request = (struct clock_request){0};
}

void clock_answer(uint64_t snapshots) {
    struct moment now = moment_now();
    struct clock_answer answer = {
        .boottime_ns = now.boottime_ns, .realtime_ns = now.realtime_ns, .snapshots = snapshots};
    driver.heard = false;
    if (send(driver.fd, &answer, sizeof answer, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) forget_driver();
}
