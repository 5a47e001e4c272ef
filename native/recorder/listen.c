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

static bool is_trusted(int connection, struct ucred *ret_peer) {
    socklen_t bytes = sizeof *ret_peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, ret_peer, &bytes)) return false;
    return ret_peer->uid == geteuid() || ret_peer->uid == 0 || geteuid() == 0;
}

static const char *check_sender(int connection, const struct ht_hello *hello, struct hello *ret) {
    struct ucred peer;
    if (!is_trusted(connection, &peer)) return "it is from another user";
    if (peer.pid != hello->pid) return "its pid is not its sender's (another pid name space?)";
    ret->pid = peer.pid;
    ret->uid = peer.uid;
    ret->books_bytes = hello->books_bytes;
    ret->pidfd = peer_pidfd(connection);
    return NULL;
}

union letter { // what may come
    struct ht_hello hello;
    struct ht_order order;
};

static bool is_order(int connection, const union letter *letter, ssize_t bytes) {
    struct ucred peer;
    return bytes == sizeof letter->order && letter->order.magic == HT_ORDER_MAGIC &&
           letter->order.version == HT_BOOKS_VERSION && is_trusted(connection, &peer);
}

static void close_fds(const struct hello *hello) {
    if (hello->books_fd >= 0) close(hello->books_fd);
    if (hello->rollup_fd >= 0) close(hello->rollup_fd);
}

enum hello_result hello_receive(int connection, struct hello *ret, const char **ret_why) {
    union letter letter = {0};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    struct iovec part = {&letter, sizeof letter};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    *ret = (struct hello){.books_fd = -1, .rollup_fd = -1, .pidfd = -1};
    ssize_t n = recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return HELLO_NOT_YET;
    if (n > 0) take_fds(&message, ret);
    if (is_order(connection, &letter, n)) {
        close_fds(ret);
        ret->order = letter.order;
        return HELLO_ORDER;
    }
    *ret_why = n != sizeof letter.hello || letter.hello.magic != HT_HELLO_MAGIC ? "it is no registration"
               : letter.hello.version != HT_BOOKS_VERSION ? "agent and recorder are of different versions"
               : ret->books_fd < 0                        ? "it has no books"
                                                          : check_sender(connection, &letter.hello, ret);
    if (!*ret_why) return HELLO_GOOD;
    close_fds(ret);
    return HELLO_REFUSED;
}
