// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "listen.h"

#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int listen_at_random(char address[ADDRESS_BYTES]) {
    snprintf(address, ADDRESS_BYTES, "@heaptide-%016lx%016lx", (unsigned long)ht_sys_random(),
             (unsigned long)ht_sys_random());
    long fd = ht_sys_listen(address);
    if (fd < 0) errno = (int)-fd;
    return fd < 0 ? -1 : (int)fd;
}

enum { MAX_FDS = 4 };

// Takes the descriptors out of a message; those beyond the two that are expected are closed.
static void take_fds(struct msghdr *message, struct hello *ret) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (ret->books_fd < 0)
                ret->books_fd = fd;
            else if (ret->rollup_fd < 0)
                ret->rollup_fd = fd;
            else
                close(fd);
        }
    }
}

enum { SO_PEERPIDFD_ = 77 }; // Linux 6.5; missing in old headers

static int peer_pidfd(int connection) {
    int pidfd = -1;
    socklen_t bytes = sizeof pidfd;
    return getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD_, &pidfd, &bytes) ? -1 : pidfd;
}

static const char *check_sender(int connection, const struct ht_hello *hello, struct hello *ret) {
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &bytes)) return "its sender cannot be known";
    if (peer.uid != geteuid() && peer.uid != 0 && geteuid() != 0) return "it is from another user";
    if (peer.pid != hello->pid) return "its pid is not its sender's (another pid name space?)";
    ret->pid = peer.pid;
    ret->uid = peer.uid;
    ret->books_bytes = hello->books_bytes;
    ret->pidfd = peer_pidfd(connection);
    return NULL;
}

enum hello_result hello_receive(int connection, struct hello *ret, const char **ret_why) {
    struct ht_hello hello = {0};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    struct iovec part = {&hello, sizeof hello};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    *ret = (struct hello){.books_fd = -1, .rollup_fd = -1, .pidfd = -1};
    ssize_t n = recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return HELLO_NOT_YET;
    if (n > 0) take_fds(&message, ret);
    *ret_why = n != sizeof hello || hello.magic != HT_HELLO_MAGIC ? "it is no registration"
               : hello.version != HT_BOOKS_VERSION                ? "agent and recorder are of different versions"
               : ret->books_fd < 0                                ? "it has no books"
                                                                  : check_sender(connection, &hello, ret);
    if (!*ret_why) return HELLO_GOOD;
    if (ret->books_fd >= 0) close(ret->books_fd);
    if (ret->rollup_fd >= 0) close(ret->rollup_fd);
    return HELLO_REFUSED;
}
