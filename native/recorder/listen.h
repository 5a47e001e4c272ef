// SPDX-License-Identifier: Apache-2.0
// listen.h: the address that agents register at, and what they send there.
#ifndef HEAPTIDE_LISTEN_H
#define HEAPTIDE_LISTEN_H

#include "books.h"
#include "util.h"

enum { ADDRESS_BYTES = 48 };

// Binds an abstract SOCK_SEQPACKET address with 128 random bits: nobody else can have guessed and taken it.
// The listening descriptor (non-blocking, close-on-exec), or -1 with errno.
int listen_at_random(char address[ADDRESS_BYTES]);

struct hello {
    int pid;
    uint32_t uid;
    uint64_t books_bytes;
    int books_fd, rollup_fd; // the receiver's to close, and pidfd; rollup_fd may be -1
    struct ht_order order;   // HELLO_ORDER
    int pidfd;               // of the sender, though it be gone and waited for (Linux 6.16); -1: the kernel gives none
};
enum hello_result { HELLO_GOOD, HELLO_ORDER, HELLO_NOT_YET, HELLO_REFUSED };

// Receives a registration, or an order for one that was made, from an accepted connection, and checks who sent it. `ret_why`: why it was refused.
enum hello_result hello_receive(int connection, struct hello *ret, const char **ret_why);

#endif
