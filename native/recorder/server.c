// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "server.h"

#include "alive.h"
#include "clock.h"
#include "listen.h"
#include "report.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 128,
    MAX_IMAGES = 1000, // captures in all: a server that forks for every request does not fill the disk with files
    FIXED_FDS = 5,
};
static const uint64_t HELLO_NS = 10 * NS_PER_S;   // a connection that says nothing for so long is closed
static const uint64_t GRACE_NS = 2 * NS_PER_S;    // with nothing to record: children may be about to register
static const uint64_t NOBODY_NS = 10 * NS_PER_S;  // the same, before anybody has
static const uint64_t CHILDREN_NS = 1 * NS_PER_S; // after the caller asked: so long may its children take to register
static const uint64_t SCAN_NS = 100 * NS_PER_MS;  // between two looks for them
static const uint64_t RUNNING_NS = 1 * NS_PER_S;  // after the caller asked: tell it of those that go on
static const uint64_t IDLE_NS = 500 * NS_PER_MS;  // longest sleep

struct connection {
    int fd;
    uint64_t deadline_ns;
};

struct server {
    const struct server_setup *setup;
    int signal_fd;
    int watch_fd; // pidfd of setup->watch_pid
    int control_fd;
    struct image *images;
    unsigned image_count;
    unsigned registered; // ever
    uint64_t refused;
    struct connection connections[MAX_CONNECTIONS];
    unsigned connection_count;
    int started_pid;  // by the control socket: the program whose end it will tell
    struct buf heard; // from the control socket, up to its last line's end
    struct buf reports;
    bool asked; // the caller waits for reports
    uint64_t asked_ns;
    uint64_t next_scan_ns;
    bool running_told;
    uint64_t idle_since_ns; // 0: something is recorded
};

// ---- Images ---------------------------------------------------------------------------------------------------------

static struct image *find_image(const struct server *s, int pid) {
    for (struct image *image = s->images; image; image = image->next)
        if (image->process.pid == pid && image->state == IMAGE_RECORDING) return image;
    return NULL;
}

// The pid is known: the process executed another program, and this is its registration. The title of being the program
// that was started goes on to it, as long as no file has the name already (`env PROG` is meant to record PROG).
static bool succeed(struct image *before) {
    bool title = before->primary && before->writer.fd < 0;
    if (title) before->primary = before->writer.name.plain = false;
    image_replaced(before);
    return title;
}

static void add_image(struct server *s, const struct hello *hello) {
    const char *why = NULL;
    struct image *before = find_image(s, hello->pid);
    bool primary = before ? succeed(before) : s->registered == 0;
    struct registration r = {.options = s->setup->options,
                             .output_dir = s->setup->output->dir,
                             .pattern = s->setup->output->pattern,
                             .pid = hello->pid,
                             .uid = hello->uid,
                             .books_fd = hello->books_fd,
                             .rollup_fd = hello->rollup_fd,
                             .pidfd = hello->pidfd,
                             .books_bytes = hello->books_bytes,
                             .primary = primary,
                             .fallback = s->registered ? "program" : s->setup->program};
    struct image *image = image_create(&r, &why);
    if (!image) {
        s->refused++;
        return;
    }
    if (before && before->writer.fd < 0)
        image_note(image, NOTE_SAID, "%s ran here before, for less than a second, and has no capture of its own",
                   before->process.name);
    image->awaits_status = s->control_fd >= 0 && (hello->pid == s->started_pid || !s->started_pid);
    s->registered++;
    s->image_count++;
    struct image **end = &s->images;
    while (*end) end = &(*end)->next;
    *end = image;
    alive_tell(s->images);
}

static void tick_images(struct server *s, uint64_t now, bool all) {
    for (struct image **place = &s->images; *place;) {
        struct image *image = *place;
        if (all || now >= image->next_tick_ns) image_tick(image, now);
        if (image->state != IMAGE_DONE) {
            place = &image->next;
            continue;
        }
        if (!image->last_word_told && (image->writer.file[0] || image->writer.failures))
            report_image(image, s->setup->output->prefix, &s->reports);
        *place = image->next;
        alive_tell(s->images);
        alive_end(image);
        image_destroy(image);
        s->image_count--;
    }
}

// ---- Registrations --------------------------------------------------------------------------------------------------

static void accept_all(struct server *s, uint64_t now) {
    int fd;
    while (s->connection_count < MAX_CONNECTIONS && (fd = accept4(s->setup->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        s->connections[s->connection_count++] = (struct connection){fd, now + HELLO_NS};
}

// The switch. Nobody answers for a process that is not recorded here.
static void obey(const struct server *s, int connection, const struct ht_order *order) {
    static const uint8_t done = HT_ORDER_DONE;
    struct image *image = find_image(s, order->pid);
    if (!image || order->armed > HT_DISARMED) return;
    struct ht_control *control = image->books.control;
    __atomic_store_n(&control->interval, order->interval, __ATOMIC_RELAXED);
    __atomic_store_n(&control->armed, order->armed, __ATOMIC_RELEASE);
    send(connection, &done, sizeof done, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// True when the connection is done with.
static bool receive_from(struct server *s, const struct connection *connection, uint64_t now) {
    struct hello hello;
    const char *why = NULL;
    enum hello_result result = hello_receive(connection->fd, &hello, &why);
    if (result == HELLO_NOT_YET) return now >= connection->deadline_ns;
    if (result == HELLO_ORDER) {
        obey(s, connection->fd, &hello.order);
        return true;
    }
    if (result == HELLO_GOOD && s->registered < MAX_IMAGES) {
        add_image(s, &hello);
    } else {
        s->refused++;
        if (result == HELLO_GOOD) close(hello.books_fd);
        if (result == HELLO_GOOD && hello.rollup_fd >= 0) close(hello.rollup_fd);
        if (result == HELLO_GOOD && hello.pidfd >= 0) close(hello.pidfd);
    }
    return true;
}

// In the order of their coming: an image and the one that replaces it may both be waiting.
static void take_registrations(struct server *s, uint64_t now) {
    accept_all(s, now);
    unsigned kept = 0;
    for (unsigned i = 0; i < s->connection_count; i++) {
        if (receive_from(s, &s->connections[i], now))
            close(s->connections[i].fd);
        else
            s->connections[kept++] = s->connections[i];
    }
    s->connection_count = kept;
}

// ---- The caller -----------------------------------------------------------------------------------------------------

static void hear_line(struct server *s, const char *line) {
    int pid, status;
    if (sscanf(line, "started %d", &pid) == 1) s->started_pid = pid;
    if (sscanf(line, "ended %d %d", &pid, &status) != 2) return;
    for (struct image *image = s->images; image; image = image->next)
        if (image->process.pid == pid && !image->status_known) {
            image->status_known = true;
            image->wait_status = status;
            image->next_tick_ns = 0;
        }
}

static void hear_caller(struct server *s, uint64_t now) {
    char part[512];
    ssize_t n = s->asked || s->control_fd < 0 ? -1 : recv(s->control_fd, part, sizeof part, MSG_DONTWAIT);
    if (n < 0 && (s->asked || s->control_fd < 0 || errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        s->asked = true;
        s->asked_ns = now;
        return;
    }
    buf_put(&s->heard, part, (size_t)n);
    uint8_t *end;
    while (s->heard.len && (end = memchr(s->heard.data, '\n', s->heard.len))) {
        *end = 0;
        hear_line(s, (const char *)s->heard.data);
        size_t used = (size_t)(end - s->heard.data) + 1;
        memmove(s->heard.data, end + 1, s->heard.len - used);
        s->heard.len -= used;
    }
    if (s->heard.len > 4096) buf_clear(&s->heard); // no line of ours is so long
}

// The caller does not wait for what may never come: it hears of those that go on, and of those whose last word is refused.
static void tell_running(struct server *s, uint64_t now) {
    if (!s->asked || s->running_told || now < s->asked_ns + RUNNING_NS) return;
    s->running_told = true;
    for (struct image *image = s->images; image; image = image->next)
        if (image->state == IMAGE_ENDING ? image->writer.failures != 0 : writer_settle(&image->writer)) {
            report_image(image, s->setup->output->prefix, &s->reports);
            image->last_word_told = image->state == IMAGE_ENDING;
        }
}

// To the control socket once it asks; without one, to standard output at the end.
static void send_reports(struct server *s, bool at_end) {
    int fd = s->control_fd >= 0 ? s->control_fd : s->setup->options->form == FORM_SERVE ? STDOUT_FILENO : -1;
    if (!s->reports.len || !(s->control_fd >= 0 ? s->asked : at_end)) return;
    for (size_t at = 0; fd >= 0 && at < s->reports.len;) {
        ssize_t n = write(fd, s->reports.data + at, s->reports.len - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break; // it has gone, or does not read
        at += (size_t)n;
    }
    buf_clear(&s->reports);
}

// ---- The injected clock ---------------------------------------------------------------------------------------------

// What was due, or came to register, before the clock was put forward belongs before it.
static void obey_driver(struct server *s) {
    tick_images(s, moment_now().boottime_ns, false);
    clock_obey();
}

// Whoever sent the request waits until everything that the new time made due is done.
static void answer_driver(const struct server *s) {
    uint64_t snapshots = 0;
    for (const struct image *image = s->images; image; image = image->next) {
        if (image->state == IMAGE_RECORDING && image->cut.pending) return;
        snapshots += image->snapshots;
    }
    clock_answer(snapshots);
}

// ---- Signals --------------------------------------------------------------------------------------------------------

// Everything that could end us is blocked and read here; what ends others does not end the recorder of their last word.
static int open_signals(int snapshot_signal) {
    int numbers[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGXFSZ, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, snapshot_signal};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(&set, numbers[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void take_signals(struct server *s) {
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == sizeof info)
        for (struct image *image = s->images; (int)info.ssi_signo == s->setup->options->signal && image;
             image = image->next) {
            image->signalled = true;
            image->next_tick_ns = 0;
        }
}

// ---- The loop -------------------------------------------------------------------------------------------------------

static bool is_watched_alive(const struct server *s) {
    struct pollfd watched = {.fd = s->watch_fd, .events = POLLIN};
    if (!s->setup->watch_pid) return false;
    return s->watch_fd >= 0 ? poll(&watched, 1, 0) == 0 : kill(s->setup->watch_pid, 0) == 0 || errno == EPERM;
}

// A child that the program forked just before its end has the address and may not have come to register yet. Not to be
// answered in the round in which the caller asked: who registered just before that was perhaps not seen.
static bool are_children_coming(struct server *s, uint64_t now) {
    char variable[64];
    if (now <= s->asked_ns || now < s->next_scan_ns) return true;
    s->next_scan_ns = now + SCAN_NS;
    snprintf(variable, sizeof variable, "HEAPTIDE_SOCKET=%s", s->setup->address);
    return now < s->asked_ns + CHILDREN_NS && process_may_exist_with(variable);
}

static bool is_finished(struct server *s, uint64_t now) {
    if (s->images || s->connection_count || is_watched_alive(s)) {
        s->idle_since_ns = 0;
        return false;
    }
    if (s->control_fd >= 0) return s->asked && !are_children_coming(s, now);
    if (!s->idle_since_ns) s->idle_since_ns = now;
    return now - s->idle_since_ns >= (s->registered || s->setup->watch_pid ? GRACE_NS : NOBODY_NS);
}

static uint64_t next_due(const struct server *s, uint64_t now) {
    uint64_t due = s->asked && !s->images ? s->next_scan_ns : now + IDLE_NS;
    for (const struct image *image = s->images; image; image = image->next) due = min_u64(due, image->next_tick_ns);
    return due;
}

static bool is_awaited(const struct image *image) { return image->state == IMAGE_RECORDING && !image->dead_ns; }

// Sleeps until something is to be done. Images whose process died are made due.
static void wait_for_work(struct server *s, uint64_t now) {
    struct pollfd *fds = calloc(FIXED_FDS + s->connection_count + s->image_count, sizeof *fds);
    uint64_t due = next_due(s, now);
    if (!fds) {
        sleep_ns(10 * NS_PER_MS);
        return;
    }
    unsigned n = 0;
    bool full = s->connection_count == MAX_CONNECTIONS;
    fds[n++] = (struct pollfd){.fd = full ? -1 : s->setup->listen_fd, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = s->asked ? -1 : s->control_fd, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = is_watched_alive(s) ? s->watch_fd : -1, .events = POLLIN};
    for (unsigned i = 0; i < s->connection_count; i++)
        fds[n++] = (struct pollfd){.fd = s->connections[i].fd, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = clock_fd(), .events = POLLIN};
    unsigned first = n;
    for (struct image *image = s->images; image; image = image->next)
        fds[n++] = (struct pollfd){.fd = is_awaited(image) ? image->process.pidfd : -1, .events = POLLIN};
    struct timespec timeout = {.tv_nsec = due > now ? (long)min_u64(due - now, NS_PER_S - 1) : 0};
    ppoll(fds, n, &timeout, NULL);
    for (struct image *image = s->images; image; image = image->next)
        if (fds[first++].revents) image->next_tick_ns = 0;
    free(fds);
}

void server_run(const struct server_setup *setup) {
    struct server s = {.setup = setup, .control_fd = setup->control_fd};
    clock_inject(setup->options->clock_fd);
    alive_init();
    s.signal_fd = open_signals(setup->options->signal);
    s.watch_fd = setup->watch_pid ? process_pidfd(setup->watch_pid) : -1;
    if (s.control_fd >= 0) {
        struct timeval patience = {.tv_sec = 2};
        setsockopt(s.control_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    for (;;) {
        bool driven = clock_hear();
        take_registrations(&s, moment_now().boottime_ns); // before deaths: who died may have been replaced before
        if (driven) obey_driver(&s);
        uint64_t now = moment_now().boottime_ns;
        hear_caller(&s, now);
        take_signals(&s);
        tick_images(&s, now, driven);
        if (driven) answer_driver(&s);
        tell_running(&s, now);
        send_reports(&s, false);
        if (is_finished(&s, now)) break;
        wait_for_work(&s, now);
    }
    report_refused(s.refused, &s.reports);
    send_reports(&s, true);
    buf_deinit(&s.reports);
    buf_deinit(&s.heard);
}
