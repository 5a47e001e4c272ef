// SPDX-License-Identifier: Apache-2.0
// limits.c: programs that give up rights, descriptors and memory, and that end in unusual ways.
#define _GNU_SOURCE
#include "torture.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static SITE void grows(int depth, unsigned rounds) { // many stacks, so that the books grow too
    if (depth == 0) {
        churn(rounds);
        return;
    }
    if (depth % 2)
        grows(depth - 1, rounds);
    else
        grows(depth - 1, rounds + 1);
    __asm__ volatile("");
}

static void work(void) {
    for (int i = 0; i < 60; i++) grows(i, 40);
}

static int closes_everything(void) {
    work();
    int out = dup2(1, 200);
    for (int fd = 0; fd < 200; fd++) close(fd);
    syscall(SYS_close_range, 201, ~0u, 0);
    work();
    check(dup2(out, 1) == 1, "standard output");
    if (geteuid() == 0) {
        check(chdir("/") == 0 && setgid(65534) == 0 && setuid(65534) == 0, "another user");
        check(prctl(PR_SET_DUMPABLE, 0) == 0, "not dumpable");
    }
    work();
    int pid = fork();
    if (pid == 0) {
        work();
        _exit(21);
    }
    check(status_of(pid) == 21, "a child");
    say("closed\n");
    return 0;
}

#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void lock_up(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(write),
        ALLOW(exit_group),
        ALLOW(exit),
        ALLOW(brk),
        ALLOW(mmap),
        ALLOW(munmap),
        ALLOW(mremap), // glibc's realloc of large blocks
        ALLOW(madvise),
        ALLOW(mprotect), // glibc's arenas
        ALLOW(futex),
        ALLOW(rt_sigreturn),
        ALLOW(sched_yield), // spinning of the allocators below
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
    check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0, "seccomp");
}

static int locked_up(void) {
    churn(1); // some allocators prepare themselves at the first one: getrandom, clocks
    lock_up();
    work();
    say("locked up\n");
    return 22;
}

static pthread_barrier_t together;

static void *first_allocation_in_prison(void *unused) {
    (void)unused;
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together); // all threads were locked up in between
    work();
    say("a thread in prison\n");
    syscall(SYS_exit_group, 23);
    return NULL;
}

static int locked_up_threads(void) {
    pthread_t thread;
    pthread_barrier_init(&together, NULL, 2);
    pthread_create(&thread, NULL, first_allocation_in_prison, NULL);
    pthread_barrier_wait(&together);
    work();
    lock_up();
    pthread_barrier_wait(&together);
    for (;;) work();
    return 0;
}

// A file above the limit kills by SIGXFSZ: shared memory is a file.
static int small_files(void) {
    work();
    FILE *file = tmpfile();
    signal(SIGXFSZ, SIG_IGN);
    char text[8192] = {0};
    check(file && fwrite(text, 1, sizeof text, file) < sizeof text + 1, "stdio");
    if (file) fclose(file);
    say("small files\n");
    return 0;
}

// Set by the parent before exec, so that the tool begins under it.
static int exec_under(int resource, rlim_t limit, const char *next) {
    struct rlimit l = {limit, limit};
    check(setrlimit(resource, &l) == 0, "setrlimit");
    execl("/proc/self/exe", "limits", next, (char *)NULL);
    return 1;
}

static int file_limit(void) { return exec_under(RLIMIT_FSIZE, 4096, "small_files"); }
static int no_file_limit(void) { return exec_under(RLIMIT_FSIZE, 0, "plain"); }
static int descriptor_limit(void) { return exec_under(RLIMIT_NOFILE, 4, "plain"); }

static int plain(void) {
    work();
    say("plain\n");
    return 24;
}

// Takes memory until there is none, gives some back, and goes on.
static int no_memory_left(void) {
    static void *blocks[4096];
    int n = 0;
    while (n < 4096 && (blocks[n] = malloc(1 << 20))) n++;
    check(n < 4096 && errno == ENOMEM, "a limit");
    for (int i = 0; i < n; i += 2) free(blocks[i]);
    work();
    for (int i = 1; i < n; i += 2) free(blocks[i]);
    work();
    say("out of memory, and back\n");
    return 25;
}

// Half of the address space is the program's need: the tool must not reserve what is not to be had twice.
static int needs_its_half(void) {
    static void *blocks[128];
    work();
    for (int i = 0; i < 128; i++) check((blocks[i] = malloc(1 << 20)) != NULL, "half of the address space");
    work();
    for (int i = 0; i < 128; i++) free(blocks[i]);
    say("its half\n");
    return 30;
}

static int half_of_address_limit(void) { return exec_under(RLIMIT_AS, 256 << 20, "needs_its_half"); }
static int address_limit(void) { return exec_under(RLIMIT_AS, 600 << 20, "no_memory_left"); }
static int tight_address_limit(void) { return exec_under(RLIMIT_AS, 96 << 20, "plain"); }

static int locked_memory(void) {
    check(mlockall(MCL_FUTURE) == 0, "mlockall");
    work();
    int pid = fork(); // locks are not inherited; the child's books are its own
    if (pid == 0) {
        check(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall in a child");
        work();
        _exit(26);
    }
    check(status_of(pid) == 26, "a child");
    say("locked\n");
    return 0;
}

static long resident_kib(void) {
    char line[256];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "VmRSS:", 6)) kib = atol(line + 6);
    if (status) fclose(status);
    return kib;
}

// What is reserved becomes memory then, of the tool too: it is to be tens of MiB, and not the gibibyte that could be needed.
static int locked_at_once(void) {
    work();
    check(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall");
    check(resident_kib() < 100 << 10, "locked more than its share");
    work();
    check(munlockall() == 0, "munlockall");
    say("locked at once\n");
    return 31;
}

static void not_called(void) { say("FAILED: a handler of exit ran\n"); }

static int leaves_at_once(void) {
    atexit(not_called);
    work();
    say("at once\n");
    _exit(27);
}

static int aborts(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    atexit(not_called);
    work();
    say("aborting\n");
    abort();
}

static void frees_late(void) {
    work();
    say("late\n");
}

static int quick(void) {
    at_quick_exit(frees_late);
    work();
    quick_exit(28);
}

int main(int argc, char **argv) {
    static const struct hazard all[] = {
        HAZARD(closes_everything),
        HAZARD(locked_up),
        HAZARD(locked_up_threads),
        HAZARD(small_files),
        HAZARD(file_limit),
        HAZARD(no_file_limit),
        HAZARD(descriptor_limit),
        HAZARD(plain),
        HAZARD(no_memory_left),
        HAZARD(needs_its_half),
        HAZARD(half_of_address_limit),
        HAZARD(address_limit),
        HAZARD(tight_address_limit),
        HAZARD(locked_memory),
        HAZARD(locked_at_once),
        HAZARD(leaves_at_once),
        HAZARD(aborts),
        HAZARD(quick),
        {0},
    };
    return run_hazard(all, argc, argv);
}
