// SPDX-License-Identifier: Apache-2.0
// The kernel's list of robust futexes (man 2 set_robust_list): at the end of a thread it follows the list, and in every word
// that holds the thread's id sets a bit. A program that scribbles over its part of the list can break it for those behind
// it, who then count for nobody; it can make the kernel write nowhere but where that very id stands, in a process that is
// gone. The recorder uses no robust mutexes, whose list this would be.
#define _GNU_SOURCE
#include "alive.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(HT_RECORDER_DIED == FUTEX_OWNER_DIED, "the kernel's bit");
_Static_assert(sizeof(struct robust_list) == sizeof(uint64_t), "next");

static struct robust_list_head head;

void alive_init(void) {
    head.list.next = &head.list;
    head.futex_offset = offsetof(struct ht_alive, thread) - offsetof(struct ht_alive, next);
    syscall(SYS_set_robust_list, &head, sizeof head);
}

struct telling {
    struct image *image;
    struct robust_list *after;
    uint32_t thread;
};

static void tell_one(void *data) {
    struct telling *telling = data;
    struct ht_alive *alive = &telling->image->books.control->recorder;
    alive->next = (uint64_t)(uintptr_t)telling->after;
    __atomic_store_n(&alive->thread, telling->thread, __ATOMIC_RELEASE);
    telling->after = (struct robust_list *)(void *)&alive->next;
}

void alive_tell(struct image *images) {
    struct telling telling = {images, &head.list, (uint32_t)syscall(SYS_gettid)};
    for (; telling.image; telling.image = telling.image->next) books_guarded(tell_one, &telling);
    head.list.next = telling.after;
}

static void end_one(void *data) {
    struct image *image = data;
    __atomic_store_n(&image->books.control->recorder.thread, HT_RECORDER_DIED, __ATOMIC_RELEASE);
}

void alive_end(struct image *image) { books_guarded(end_one, image); }
