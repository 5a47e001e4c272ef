// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { // linux/membarrier.h is missing on old systems
    MEMBARRIER_GLOBAL_REGISTER = 1 << 2,
    MEMBARRIER_PRIVATE = 1 << 3,
    MEMBARRIER_PRIVATE_REGISTER = 1 << 4,
};

#if defined(__x86_64__)
static inline long raw6(long n, long a, long b, long c, long d, long e, long f) {
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#endif
static inline long raw3(long n, long a, long b, long c) { return raw6(n, a, b, c, 0, 0, 0); }

long ht_sys_write(int fd, const void *data, size_t bytes) { return raw3(SYS_write, fd, (long)data, (long)bytes); }
long ht_sys_read(int fd, void *data, size_t bytes) { return raw3(SYS_read, fd, (long)data, (long)bytes); }
long ht_sys_open(const char *path, int flags, unsigned mode) { return ht_sys_openat(AT_FDCWD, path, flags, mode); }
long ht_sys_openat(int dir, const char *path, int flags, unsigned mode) {
    return raw6(SYS_openat, dir, (long)path, flags | O_CLOEXEC, mode, 0, 0);
}
long ht_sys_close(int fd) { return raw3(SYS_close, fd, 0, 0); }
long ht_sys_access(const char *path, int mode) { return raw3(SYS_faccessat, AT_FDCWD, (long)path, mode); }
long ht_sys_readlink(const char *path, char *ret, size_t bytes) {
    return raw6(SYS_readlinkat, AT_FDCWD, (long)path, (long)ret, (long)bytes, 0, 0);
}
long ht_sys_unlinkat(int dir, const char *path) { return raw3(SYS_unlinkat, dir, (long)path, 0); }
long ht_sys_getdents(int fd, void *data, size_t bytes) { return raw3(SYS_getdents64, fd, (long)data, (long)bytes); }
long ht_sys_getpid(void) { return raw3(SYS_getpid, 0, 0, 0); }
long ht_sys_getppid(void) { return raw3(SYS_getppid, 0, 0, 0); }

// glibc keeps a thread's id in the block that pthread_self points to; where, is believed once it was found right.
static unsigned thread_id_offset;

static int thread_id_at(unsigned offset) {
    return __atomic_load_n((const int *)((uintptr_t)pthread_self() + offset), __ATOMIC_RELAXED);
}

void ht_sys_learn_thread_id(void) {
#if defined(__x86_64__) && defined(__GLIBC__)
    enum { OFFSET = 720 };
    if (thread_id_at(OFFSET) == raw3(SYS_gettid, 0, 0, 0)) thread_id_offset = OFFSET;
#endif
}

long ht_sys_gettid(void) { return thread_id_offset ? thread_id_at(thread_id_offset) : raw3(SYS_gettid, 0, 0, 0); }

static void *map(uint64_t bytes, int flags, int fd) {
    long p = raw6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    return p < 0 && p > -4096 ? NULL : (void *)p;
}

void (*ht_sys_on_map)(const void *memory, size_t bytes, bool mapped);

void *ht_sys_map(size_t bytes) {
    void *memory = map(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    if (memory && ht_sys_on_map) ht_sys_on_map(memory, bytes, true);
    return memory;
}

void ht_sys_discard(void *memory, size_t bytes) { raw3(SYS_madvise, (long)memory, (long)bytes, MADV_DONTNEED); }

void ht_sys_unmap(void *memory, size_t bytes) {
    if (ht_sys_on_map) ht_sys_on_map(memory, bytes, false);
    raw3(SYS_munmap, (long)memory, (long)bytes, 0);
}

void ht_sys_map_at(void *start, size_t bytes) {
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    long at = raw6(SYS_mmap, (long)start, (long)bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (at > 0 && at != (long)start) raw3(SYS_munmap, at, (long)bytes, 0); // a kernel that takes the address for a hint
}

void *ht_sys_map_wiped_on_fork(size_t bytes) {
    void *p = ht_sys_map(bytes);
    if (p && raw3(SYS_madvise, (long)p, (long)bytes, MADV_WIPEONFORK) < 0) {
        ht_sys_unmap(p, bytes);
        return NULL;
    }
    return p;
}

long ht_sys_sealed_memfd(const char *name, uint64_t bytes) {
    long fd = raw3(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL, 0);
    if (fd == -EINVAL) fd = raw3(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
    if (fd < 0) return fd;
    long r = raw3(SYS_ftruncate, fd, (long)bytes, 0);
    if (r == 0) r = raw3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    if (r < 0) {
        ht_sys_close((int)fd);
        return r;
    }
    return fd;
}

void *ht_sys_map_shared(int fd, uint64_t bytes) {
    void *p = map(bytes, MAP_SHARED | MAP_NORESERVE, fd);
    if (!p) return NULL;
    raw3(SYS_madvise, (long)p, (long)bytes, MADV_DONTDUMP);
    raw3(SYS_madvise, (long)p, (long)bytes, MADV_DONTFORK);
    return p;
}

void ht_sys_protect(void *start, uint64_t bytes, bool usable) {
    raw3(SYS_mprotect, (long)start, (long)bytes, usable ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void ht_sys_unlock(void *start, uint64_t bytes) { raw3(SYS_munlock, (long)start, (long)bytes, 0); }

void ht_sys_remove(void *start, uint64_t bytes) { raw3(SYS_madvise, (long)start, (long)bytes, MADV_REMOVE); }

long ht_sys_populate(void *start, uint64_t bytes) {
    long r = raw3(SYS_madvise, (long)start, (long)bytes, MADV_POPULATE_WRITE);
    if (r != -EINVAL) return r;
    for (uint64_t i = 0; i < bytes; i += 4096) // before Linux 5.14: touch, and hope
        __atomic_fetch_add((uint64_t *)((char *)start + i), 0, __ATOMIC_RELAXED);
    return 0;
}

bool ht_sys_membarrier_register(void) { return raw3(SYS_membarrier, MEMBARRIER_GLOBAL_REGISTER, 0, 0) == 0; }

bool ht_sys_membarrier_private(void) {
    if (raw3(SYS_membarrier, MEMBARRIER_PRIVATE, 0, 0) == 0) return true;
    raw3(SYS_membarrier, MEMBARRIER_PRIVATE_REGISTER, 0, 0);
    return raw3(SYS_membarrier, MEMBARRIER_PRIVATE, 0, 0) == 0;
}

static uint64_t clock_ns(long clock) {
    struct timespec t = {0};
    raw3(SYS_clock_gettime, clock, (long)&t, 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
uint64_t ht_sys_boottime_ns(void) { return clock_ns(CLOCK_BOOTTIME); }
uint64_t ht_sys_boottime_from_vdso_ns(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
uint64_t ht_sys_realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }

uint64_t ht_sys_random(void) {
    uint64_t x = 0;
    if (raw3(SYS_getrandom, (long)&x, sizeof x, 1 /* GRND_NONBLOCK */) != sizeof x)
        x = clock_ns(CLOCK_REALTIME) ^ (uint64_t)(uintptr_t)&x << 20 ^ (uint64_t)ht_sys_gettid() << 44;
    return x;
}

static uint64_t limit(long resource) {
    struct rlimit r = {.rlim_cur = RLIM_INFINITY};
    raw6(SYS_prlimit64, 0, resource, 0, (long)&r, 0, 0);
    return r.rlim_cur;
}
uint64_t ht_sys_file_size_limit(void) { return limit(RLIMIT_FSIZE); }
uint64_t ht_sys_address_limit(void) { return limit(RLIMIT_AS); }

uint64_t ht_sys_memory(void) {
    struct sysinfo info = {0};
    return raw3(SYS_sysinfo, (long)&info, 0, 0) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
}

unsigned ht_sys_cpu_count(void) {
    uint64_t mask[128];
    long bytes = raw3(SYS_sched_getaffinity, 0, sizeof mask, (long)mask);
    unsigned n = 0;
    for (long i = 0; i < bytes / 8; i++) n += (unsigned)__builtin_popcountll(mask[i]);
    return n ? n : 1;
}

// ---- Sockets --------------------------------------------------------------------------------------------------------

static bool unix_address(const char *text, struct sockaddr_un *ret, unsigned *ret_bytes) {
    size_t n = strlen(text);
    if (n < 2 || n >= sizeof ret->sun_path) return false;
    memset(ret, 0, sizeof *ret);
    ret->sun_family = AF_UNIX;
    memcpy(ret->sun_path, text, n);
    if (text[0] == '@') ret->sun_path[0] = 0;
    *ret_bytes = (unsigned)(offsetof(struct sockaddr_un, sun_path) + n + (text[0] == '@' ? 0 : 1));
    return true;
}

static long send_message(int fd, const void *data, size_t bytes, const int *fds, int fd_count) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)data, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0 && fd_count <= 4) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, (size_t)fd_count * sizeof(int));
    }
    return raw3(SYS_sendmsg, fd, (long)&message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

long ht_sys_send_once(const char *address, const void *data, size_t bytes, const int *fds, int fd_count) {
    struct sockaddr_un a;
    unsigned n;
    if (!unix_address(address, &a, &n)) return -EINVAL;
    long fd = raw3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fd;
    long r = raw3(SYS_connect, fd, (long)&a, n);
    if (r == 0) r = send_message((int)fd, data, bytes, fds, fd_count);
    ht_sys_close((int)fd);
    return r < 0 ? r : 0;
}

long ht_sys_listen(const char *address) {
    struct sockaddr_un a;
    unsigned n;
    if (!unix_address(address, &a, &n)) return -EINVAL;
    long fd = raw3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fd;
    long r = raw3(SYS_bind, fd, (long)&a, n);
    if (r == 0) r = raw3(SYS_listen, fd, 4096, 0);
    if (r == 0 && fd < 3)
        r = raw3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3); // a program whose standard descriptors are closed
    if (r != 0) ht_sys_close((int)fd);
    return r ? r : fd;
}

// ---- A process beside this one ----------------------------------------------------------------------------------------

struct start {
    const char *path;
    char *const *argv;
    char *const *envp;
    int keep_fd;
    char *inner_stack;
};

enum { START_STACK = 32768 };

static void keep_only(int fd) {
    long null = raw6(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR, 0, 0, 0);
    for (int i = 0; null >= 0 && i < 3; i++) raw3(SYS_dup3, null, i, 0);
    raw3(SYS_fcntl, fd, F_SETFD, 0);
    if (fd > 3) raw3(SYS_close_range, 3, fd - 1, 0);
    raw3(SYS_close_range, fd + 1, ~0u, 0);
}

static int run_program(void *data) {
    struct start *s = data;
    struct { // the kernel's own sigaction and mask sizes
        void *handler;
        unsigned long flags;
        void *restorer;
        uint64_t mask;
    } ignore_none = {0};
    for (int sig = 1; sig <= 64; sig++) raw6(SYS_rt_sigaction, sig, (long)&ignore_none, 0, 8, 0, 0);
    uint64_t empty = 0;
    raw6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&empty, 0, 8, 0, 0);
    keep_only(s->keep_fd);
    raw3(SYS_execve, (long)s->path, (long)s->argv, (long)s->envp);
    raw3(SYS_exit, 127, 0, 0);
    return 127;
}

static int run_detached(void *data) {
    struct start *s = data;
    raw3(SYS_setsid, 0, 0, 0);
    int pid = clone(run_program, s->inner_stack + START_STACK, CLONE_VM | CLONE_VFORK, s);
    raw3(SYS_exit, pid < 0, 0, 0);
    return 0;
}

long ht_sys_start_detached(const char *path, char *const argv[], char *const envp[], int keep_fd) {
    char *stacks = ht_sys_map(2 * START_STACK);
    if (!stacks) return -ENOMEM;
    struct start s = {path, argv, envp, keep_fd, stacks};
    uint64_t all = ~0ull, before = 0;
    raw6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, 8, 0, 0);
    // Exit signal 0: the host's SIGCHLD handler and its wait() never hear of this child.
    int pid = clone(run_detached, stacks + 2 * START_STACK, CLONE_VM | CLONE_VFORK, &s);
    int status = 0;
    if (pid > 0) raw6(SYS_wait4, pid, (long)&status, __WALL, 0, 0, 0);
    raw6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, 8, 0, 0);
    ht_sys_unmap(stacks, 2 * START_STACK);
    return pid > 0 && status == 0 ? 0 : -ECHILD;
}

// ---- Stacks ---------------------------------------------------------------------------------------------------------

void ht_sys_signal_context(uint64_t sp, struct ht_registers *ret) {
    const ucontext_t *context = (const ucontext_t *)sp;
    const greg_t *g = context->uc_mcontext.gregs;
    static const int8_t order[HT_REG_COUNT] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                               REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                               REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (int i = 0; i < HT_REG_COUNT; i++) ret->r[i] = (uint64_t)g[order[i]];
}

extern void *__libc_stack_end;

uint64_t ht_sys_stack_end(uint64_t sp) {
    uint64_t end = (uint64_t)__libc_stack_end;
    if (sp <= end && end - sp < (8u << 20)) return end;     // the main thread's
    uint64_t thread = (uint64_t)__builtin_thread_pointer(); // glibc puts it at the top of a thread's stack
    if (sp < thread && thread - sp < (8u << 20)) return thread;
    return 0;
}
