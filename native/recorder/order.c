// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "order.h"

#include "books.h"
#include "command.h"

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000, NAME_BYTES = 128 };

// Sends the order to the recorder at an abstract address. True: it is the one, and it was done.
static bool try_recorder(const char *name, const struct ht_order *order) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t bytes = strlen(name);
    if (bytes >= sizeof address.sun_path) return false;
    memcpy(address.sun_path + 1, name + 1, bytes - 1); // its "@" stands for a zero
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    uint8_t byte = 0;
    bool done = fd >= 0 && !connect(fd, (struct sockaddr *)&address, length) &&
                send(fd, order, sizeof *order, MSG_NOSIGNAL) == sizeof *order && poll(&answer, 1, PATIENCE_MS) > 0 &&
                recv(fd, &byte, 1, 0) == 1 && byte == HT_ORDER_DONE;
    if (fd >= 0) close(fd);
    return done;
}

// Recorders listen at abstract names, which the kernel lists.
static bool find_recorder(const struct ht_order *order) {
    char line[512], name[NAME_BYTES];
    bool done = false;
    FILE *sockets = fopen("/proc/net/unix", "re");
    while (sockets && !done && fgets(line, sizeof line, sockets))
        done = sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %127s", name) == 1 && !strncmp(name, "@heaptide-", 10) &&
               try_recorder(name, order);
    if (sockets) fclose(sockets);
    return done;
}

int order_send(const struct options *options) {
    struct ht_order order = {HT_ORDER_MAGIC, HT_BOOKS_VERSION, options->order_pid, options->order_armed, 0};
    if (options->sample && !parse_size(options->sample, &order.interval)) return STATUS_OURS;
    if (find_recorder(&order)) return 0;
    say("process %d is not recorded: start it under heaptide-record (HEAPTIDE_ARMED=0 to begin disarmed)",
        options->order_pid);
    return 1;
}
