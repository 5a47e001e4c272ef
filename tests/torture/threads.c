// SPDX-License-Identifier: Apache-2.0
// threads.c: threads that end, with destructors that allocate again; many of them; fork in the middle of them.
#define _GNU_SOURCE
#include "torture.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

enum { KEYS = 6, ROUNDS = 4 }; // PTHREAD_DESTRUCTOR_ITERATIONS

static pthread_key_t keys[KEYS];

struct guest { // a block that comes back for several rounds of destructors
    int rounds;
    pthread_key_t key;
    void *more;
};

static void departs(void *data) {
    struct guest *g = data;
    free(g->more);
    if (g->rounds-- == 0) {
        free(g);
        return;
    }
    g->more = malloc(200 + (size_t)g->rounds);
    churn(3);
    pthread_setspecific(g->key, g);
}

static void *visits(void *unused) {
    (void)unused;
    for (int i = 0; i < KEYS; i++) {
        struct guest *g = calloc(1, sizeof *g);
        g->rounds = ROUNDS - 2;
        g->key = keys[i];
        pthread_setspecific(keys[i], g);
    }
    return malloc(50);
}

static int exit_destructors(void) {
    for (int i = 0; i < KEYS; i++) pthread_key_create(&keys[i], departs);
    for (int round = 0; round < 50; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, visits, NULL);
        for (int i = 0; i < 4; i++) {
            void *block;
            pthread_join(threads[i], &block);
            free(block);
        }
    }
    say("all departed\n");
    return 0;
}

static void *works(void *unused) {
    (void)unused;
    churn(200);
    return malloc(100); // freed by another thread
}

static int five_hundred(void) {
    enum { WAVE = 50, WAVES = 10 };
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    for (int wave = 0; wave < WAVES; wave++) {
        pthread_t threads[WAVE];
        for (int i = 0; i < WAVE; i++) check(!pthread_create(&threads[i], &small, works, NULL), "a thread");
        for (int i = 0; i < WAVE; i++) {
            void *block;
            pthread_join(threads[i], &block);
            free(block);
        }
    }
    say("500 came and went\n");
    return 0;
}

static volatile bool stop;

static void *never_rests(void *unused) {
    (void)unused;
    while (!stop) churn(50);
    return NULL;
}

// The child has one thread and whatever locks the others held. glibc resets its own; ours must be free as well.
static int forks(void) {
    enum { FORKS = 100 };
    pthread_t threads[3];
    int bad = 0;
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, never_rests, NULL);
    for (int i = 0; i < FORKS; i++) {
        int pid = fork();
        if (pid == 0) {
            churn(20);
            _exit(17);
        }
        bad += status_of(pid) != 17;
    }
    stop = true;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    say(bad ? "FAILED: a child\n" : "100 children\n");
    return bad != 0;
}

// Stacks as small as can be had, in threads and in handlers: the tool must do with what is left of them.
static __thread char own_stack[8192];

static void strike(int signal) {
    (void)signal;
    churn(2);
}

static void *barely_stands(void *unused) {
    (void)unused;
    stack_t stack = {.ss_sp = own_stack, .ss_size = sizeof own_stack};
    sigaltstack(&stack, NULL);
    free(strdup("the first of this thread"));
    raise(SIGUSR1);
    char *text;
    check(asprintf(&text, "%d", 12) == 2, "a text");
    free(text);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    return NULL;
}

static int small_stacks(void) {
    struct sigaction action = {.sa_handler = strike, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN + sizeof own_stack); // thread-local variables are in it
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        check(!pthread_create(&thread, &small, barely_stands, NULL), "a thread");
        pthread_join(thread, NULL);
    }
    say("it fits\n");
    return 0;
}

static void *keeps_errno(void *unused) {
    (void)unused;
    for (int i = 0; i < 300; i++) {
        errno = 77;
        char *p = malloc((size_t)i * 50 + 1); // errno may change where it fails, and only there
        check(p && errno == 77, "errno after malloc");
        p = realloc(p, (size_t)i * 200 + 1);
        check(p && errno == 77, "errno after realloc");
        free(p);
        check(errno == 77, "errno after free");
    }
    return NULL;
}

static int keep_errno(void) {
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, keeps_errno, NULL);
        keeps_errno(NULL);
        pthread_join(thread, NULL);
    }
    say("errno is kept\n");
    return 0;
}

static void *executes(void *unused) {
    (void)unused;
    churn(1000);
    execl("/proc/self/exe", "threads", "keep_errno", (char *)NULL);
    return NULL;
}

// exec by one thread while the others allocate: they are gone in the middle of whatever they did.
static int exec_among_threads(void) {
    pthread_t thread;
    for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, never_rests, NULL);
    pthread_create(&thread, NULL, executes, NULL);
    pthread_join(thread, NULL);
    return 1;
}

int main(int argc, char **argv) {
    static const struct hazard all[] = {HAZARD(exit_destructors),
                                        HAZARD(five_hundred),
                                        HAZARD(forks),
                                        HAZARD(small_stacks),
                                        HAZARD(keep_errno),
                                        HAZARD(exec_among_threads),
                                        {0}};
    return run_hazard(all, argc, argv);
}
