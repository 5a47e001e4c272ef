// SPDX-License-Identifier: Apache-2.0
// test_log.c: room in the log that was reserved and left by longjmp: whatever the moment, the recorder gets past it.
// links: agent/live_samples.c agent/own.c agent/live.c agent/thin.c agent/table.c agent/count.c agent/books.c agent/thread.c agent/sample.c agent/real.c sys.c
#include "../agent/books.h"
#include "../agent/real.h"
#include "../agent/thread.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(what) ((what) ? (void)0 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #what), exit(1)))

enum { BYTES = 192 };
static struct ht_books *b;
static struct ht_thread *t;

static const struct ht_log_entry *entry_at(uint64_t position) {
    return (void *)(b->base + b->header->log_offset + (position & (b->header->log_size - 1)));
}

// Where the recorder would stop.
static uint64_t published_end(void) {
    uint64_t at = b->control->log_ack;
    while (at < b->header->log_head && entry_at(at)->stamp == ht_log_stamp(at)) at += entry_at(at)->bytes;
    return at;
}

static bool is_all_published(void) { return published_end() == b->header->log_head; }

static struct ht_log_entry *reserve(uint64_t *position) {
    struct ht_log_entry *entry = ht_log_reserve(b, BYTES, position);
    CHECK(entry);
    entry->type = HT_LOG_PAD;
    return entry;
}

static void publish_one(void) {
    uint64_t position;
    struct ht_log_entry *entry = reserve(&position);
    ht_log_publish(entry, position);
}

static void let_time_pass(void) {
    for (int i = 0; i < 2; i++) t->reserved[i].asked_ns -= t->reserved[i].asked_ns ? 1000000000 : 0;
}

static void test_left_after_it_was_known(void) {
    uint64_t position;
    reserve(&position);
    CHECK(!is_all_published() && ht_has_left_room(t->reserved));
    ht_log_left(b, t);
    CHECK(is_all_published() && !ht_has_left_room(t->reserved));
}

// Between moving the head and knowing it; and then others are left, before the time is over after which the first is believed.
static void test_left_before_it_was_known(void) {
    uint64_t position;
    reserve(&position);
    t->reserved[0].is_ours = false;
    ht_log_left(b, t);
    CHECK(published_end() == position && ht_has_left_room(t->reserved));
    for (int i = 0; i < 5; i++) {
        reserve(&position); // left as well
        ht_log_left(b, t);
        publish_one();
        ht_log_left(b, t);
    }
    CHECK(!is_all_published());
    let_time_pass();
    ht_log_left(b, t);
    CHECK(is_all_published() && !ht_has_left_room(t->reserved));
}

// Left before the head was moved: what stands there is another's.
static void test_never_reserved(void) {
    uint64_t head = b->header->log_head;
    t->reserved[0] = (struct ht_reserved){.bytes = BYTES, .from = head, .position = head};
    ht_log_left(b, t);
    CHECK(!ht_has_left_room(t->reserved) && b->header->log_head == head);
    t->reserved[0] = (struct ht_reserved){.bytes = BYTES, .from = head, .position = head};
    struct ht_thread *self = ht_tls.thread;
    ht_tls.thread = NULL; // another thread's
    publish_one();
    ht_tls.thread = self;
    ht_log_left(b, t);
    CHECK(!ht_has_left_room(t->reserved) && is_all_published());
}

// With padding up to the end of the ring, and left again while it is put right.
static void test_left_at_the_end_of_the_ring(void) {
    uint64_t size = b->header->log_size, position;
    while (size - (b->header->log_head & (size - 1)) >= BYTES) {
        publish_one();
        b->control->log_ack = published_end();
    }
    CHECK(size - (b->header->log_head & (size - 1)) > 0);
    reserve(&position);
    CHECK(t->reserved[0].from != position);
    t->reserved[1] = t->reserved[0]; // left while it stepped aside
    ht_log_left(b, t);
    CHECK(is_all_published() && !ht_has_left_room(t->reserved));
}

int main(void) {
    struct ht_books_plan plan = {.mode = HT_MODE_EXACT, .interval = 1, .shared = true};
    ht_real_init();
    CHECK(ht_gate_init() && ht_threads_init());
    b = ht_books_create(&plan);
    CHECK(b && b->header->log_size);
    t = ht_thread_now(b);
    CHECK(t && t == ht_tls.thread);
    test_left_after_it_was_known();
    test_left_before_it_was_known();
    test_never_reserved();
    test_left_at_the_end_of_the_ring();
    ht_books_destroy(b);
    return 0;
}
