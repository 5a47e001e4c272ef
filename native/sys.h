// SPDX-License-Identifier: Apache-2.0
// sys.h: what differs between CPUs, kernels and C libraries. The contract of this drawer: everything outside sys.h and
// sys.c is free of #ifdef, and a port is done when the functions and constants below exist for it.
//
// Calls go straight to the kernel: they leave errno alone, allocate nothing and can be made from inside malloc. They return
// what the kernel returned: a negative errno on failure.
#ifndef HEAPTIDE_SYS_H
#define HEAPTIDE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ht_likely(x) __builtin_expect(!!(x), 1)
#define ht_unlikely(x) __builtin_expect(!!(x), 0)
#define HT_COLD __attribute__((cold, noinline))
#define HT_NOINLINE __attribute__((noinline))
#define HT_EXPORT __attribute__((visibility("default")))

long ht_sys_write(int fd, const void *data, size_t bytes);
long ht_sys_open(const char *path, int flags, unsigned mode);
long ht_sys_openat(int dir, const char *path, int flags, unsigned mode);
long ht_sys_read(int fd, void *data, size_t bytes);
long ht_sys_close(int fd);
long ht_sys_access(const char *path, int mode);
long ht_sys_readlink(const char *path, char *ret, size_t bytes); // bytes written, no NUL
long ht_sys_unlinkat(int dir, const char *path);
long ht_sys_getdents(int fd, void *data, size_t bytes);
long ht_sys_getpid(void);
void ht_sys_learn_thread_id(void); // from then on gettid makes no system call, where that can be done
long ht_sys_gettid(void);
long ht_sys_getppid(void);

// Zeroed private memory; NULL on failure. Nothing is reserved: pages count when they are touched.
void *ht_sys_map(size_t bytes);
void ht_sys_unmap(void *memory, size_t bytes);
// Told of all that the two above map and unmap. NULL: nobody asks.
extern void (*ht_sys_on_map)(const void *memory, size_t bytes, bool mapped);
void ht_sys_discard(void *memory, size_t bytes); // private memory reads as zeros again; nobody who uses it is hurt
// One private page that a forked child finds zeroed (and a vfork child shares). NULL on failure.
void *ht_sys_map_wiped_on_fork(size_t bytes);
void ht_sys_map_at(void *start, size_t bytes); // where nothing is mapped; else nothing is done

// An anonymous file of `bytes`, sealed against any change of size; a negative errno on failure.
long ht_sys_sealed_memfd(const char *name, uint64_t bytes);
// Maps it shared, out of core dumps and out of fork children. NULL on failure.
void *ht_sys_map_shared(int fd, uint64_t bytes);
void ht_sys_protect(void *start, uint64_t bytes, bool usable); // or not even to be read
void ht_sys_unlock(void *start, uint64_t bytes);               // after mlockall
// Gives the pages of a shared mapping back; they read as zeros, for all who have it.
void ht_sys_remove(void *start, uint64_t bytes);
// Makes pages of a shared mapping present and writable: a full tmpfs or cgroup is an error here and no SIGBUS later.
long ht_sys_populate(void *start, uint64_t bytes);

bool ht_sys_membarrier_register(void); // for cuts taken from another process
bool ht_sys_membarrier_private(void);  // every thread of this process passes a full barrier; registers on first use

uint64_t ht_sys_boottime_ns(void);
// The same through libc and so without a system call, for sandboxes; a preloaded clock of somebody else's may answer.
uint64_t ht_sys_boottime_from_vdso_ns(void);
uint64_t ht_sys_realtime_ns(void);
uint64_t ht_sys_random(void);
uint64_t ht_sys_file_size_limit(void); // RLIMIT_FSIZE
uint64_t ht_sys_address_limit(void);   // RLIMIT_AS
uint64_t ht_sys_memory(void);          // of the machine, bytes
unsigned ht_sys_cpu_count(void);

// Sends `bytes` of `data` and `fd_count` descriptors over a fresh SOCK_SEQPACKET connection to `address` ("@abstract" or a
// path) without ever waiting. 0 or a negative errno.
long ht_sys_send_once(const char *address, const void *data, size_t bytes, const int *fds, int fd_count);
// A listening SOCK_SEQPACKET socket at an abstract address ("@..."); the descriptor or a negative errno.
long ht_sys_listen(const char *address);
// Starts `path` detached (own session, not this process's child, no descriptors but `keep_fd` and /dev/null as 0-2).
long ht_sys_start_detached(const char *path, char *const argv[], char *const envp[], int keep_fd);

// Adds in one instruction: a signal handler on this thread sees all of it or nothing.
static inline void ht_add_local(uint64_t *counter, uint64_t value) {
#if defined(__x86_64__)
    __asm__ volatile("addq %1, %0" : "+m"(*counter) : "er"(value) : "cc");
#else
    __atomic_fetch_add(counter, value, __ATOMIC_RELAXED);
#endif
}

static inline void ht_compiler_barrier(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

static inline void ht_cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// The usable size of a block of the C library's allocator, read from the block's head. The caller has checked that it is
// there. glibc: the word before the block is the chunk's size and three flags; a mapped chunk has two words of head.
static inline size_t ht_sys_block_head(const void *block) { return ((const size_t *)block)[-1]; }
enum { HT_SYS_HEAD_MAPPING_BIT = 1 };
static inline bool ht_sys_head_is_mapping(size_t head) { return head >> HT_SYS_HEAD_MAPPING_BIT & 1; }
static inline size_t ht_sys_head_usable(size_t head) {
    return (head & ~(size_t)7) - sizeof(size_t);
} // not of a mapping
static inline size_t ht_sys_usable_size(const void *block) {
    size_t head = ht_sys_block_head(block);
    return ht_sys_head_usable(head) - (ht_sys_head_is_mapping(head) ? sizeof(size_t) : 0);
}

// ---- Unwinding: the registers of the architecture, by their DWARF numbers -------------------------------------------

#if defined(__x86_64__)
enum { HT_REG_BP = 6, HT_REG_SP = 7, HT_REG_PC = 16, HT_REG_COUNT = 17 };
#define HT_MACHINE 62 // EM_X86_64
#else
#error "heaptide's agent runs on x86-64 so far; a port begins in sys.h"
#endif

struct ht_registers {
    uint64_t r[HT_REG_COUNT];
};

// Where the caller of the calling function stands: the return address and the stack and frame pointers after return.
// The function that uses it must have a frame pointer, which __builtin_frame_address gives it.
struct ht_caller {
    uint64_t pc, sp, bp;
};
#define HT_CALLER()                                                                                                    \
    ({                                                                                                                 \
        const uint64_t *frame_ = __builtin_frame_address(0);                                                           \
        (struct ht_caller){.pc = frame_[1], .sp = (uint64_t)(frame_ + 2), .bp = frame_[0]};                            \
    })

static inline uint64_t ht_sys_stack_pointer(void) {
    uint64_t sp;
    __asm__("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

// The registers that a callee preserves, the stack pointer and a pc, as they are where this is expanded.
#define HT_HERE(registers)                                                                                             \
    __asm__ volatile("movq %%rbx, 24(%0)\n\tmovq %%rbp, 48(%0)\n\tmovq %%rsp, 56(%0)\n\tmovq %%r12, 96(%0)\n\t"        \
                     "movq %%r13, 104(%0)\n\tmovq %%r14, 112(%0)\n\tmovq %%r15, 120(%0)\n\t"                           \
                     "leaq 1f(%%rip), %%rax\n1:\tmovq %%rax, 128(%0)"                                                  \
                     :                                                                                                 \
                     : "r"((registers)->r)                                                                             \
                     : "rax", "memory")

// The context that the kernel left on the stack for the signal trampoline whose stack pointer is `sp`.
void ht_sys_signal_context(uint64_t sp, struct ht_registers *ret);

// The upper bound of the calling thread's own stack, or 0 when `sp` is not on it.
uint64_t ht_sys_stack_end(uint64_t sp);

#endif
