// SPDX-License-Identifier: Apache-2.0
// unwind_edges.cpp: every way a stack can surprise an unwinder, with allocations in it: recursion, alloca, realigned frames,
// longjmp, exceptions, signal handlers that allocate (on and off an alternate stack, and left by siglongjmp), coroutines whose
// stacks are unmapped, threads, callbacks from libc, libraries opened and closed over and over. Prints "done".
#include <alloca.h>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <immintrin.h>
#include <pthread.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>
#define NOINLINE __attribute__((noinline))
static void *volatile sink;
NOINLINE void touch() {
    void *p = malloc(33);
    sink = p;
    asm volatile("" ::"r"(p) : "memory");
    free(p);
    asm volatile("");
}
NOINLINE void rec(int n) {
    touch();
    if (n) {
        rec(n - 1);
        touch();
    }
    asm volatile("");
}
NOINLINE void with_alloca(int n) {
    char *a = (char *)alloca(64 + n * 16);
    memset(a, 1, 64);
    touch();
    rec(n % 7);
    asm volatile("" ::"r"(a) : "memory");
}
__attribute__((noinline, target("avx2"))) void realigned(int n) {
    alignas(32) volatile __m256i v[4];
    v[0] = _mm256_set1_epi32(n);
    v[1] = v[0];
    touch();
    rec(n % 5);
    if (n > 0) realigned(n - 1);
    asm volatile("" ::"r"(&v) : "memory");
}
static jmp_buf jb;
static sigjmp_buf sjb;
NOINLINE void jumper(int n) {
    rec(3);
    if (n == 0) longjmp(jb, 1);
    jumper(n - 1);
    asm volatile("");
}
NOINLINE void thrower(int n) {
    struct D {
        ~D() { touch(); }
    } d;
    rec(2);
    if (n == 0) throw std::runtime_error("deep and long enough to be allocated on the heap");
    thrower(n - 1);
    asm volatile("");
}
static volatile sig_atomic_t hits;
static bool jump_out;
static void handler(int) {
    hits = hits + 1;
    rec(4);
    if (jump_out && hits % 3 == 0) siglongjmp(sjb, 1);
}
NOINLINE void busy(int n) {
    for (volatile int i = 0; i < n; i = i + 1) {
    }
}
static ucontext_t main_ctx, co;
static void coroutine() {
    for (int i = 0; i < 50; i++) {
        rec(i % 9);
        swapcontext(&co, &main_ctx);
    }
}
static int cmp(const void *a, const void *b) {
    touch();
    return *(int *)a - *(int *)b;
}
static void *thread(void *) {
    for (int i = 0; i < 200; i++) {
        rec(i % 12);
        with_alloca(i % 5);
    }
    return nullptr;
}
static void every_local_kind() {
    for (int i = 0; i < 300; i++) {
        rec(i % 40);
        with_alloca(i % 30);
        realigned(i % 9);
    }
}

static void longjmps_and_exceptions() {
    for (int i = 0; i < 200; i++) {
        if (!setjmp(jb)) jumper(i % 20);
        rec(i % 6);
    }
    for (int i = 0; i < 200; i++) {
        try {
            thrower(i % 15);
        } catch (std::exception &) {
            touch();
        }
        rec(i % 4);
    }
}

static void timer_signals() { // they interrupt code that does not allocate
    struct sigaction action = {};
    action.sa_handler = handler;
    sigaction(SIGALRM, &action, nullptr);
    itimerval timer = {{0, 700}, {0, 700}};
    setitimer(ITIMER_REAL, &timer, nullptr);
    for (int i = 0; i < 300; i++) busy(200000);
    timer = {};
    setitimer(ITIMER_REAL, &timer, nullptr);
}

static void signals_on_another_stack() {
    stack_t alternate = {};
    alternate.ss_size = 65536;
    alternate.ss_sp = mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&alternate, nullptr);
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    sigaction(SIGUSR1, &action, nullptr);
    for (int i = 0; i < 400; i++) {
        jump_out = i >= 200;
        if (!sigsetjmp(sjb, 1)) raise(SIGUSR1);
        rec(i % 8);
    }
    void *memory = alternate.ss_sp;
    alternate.ss_flags = SS_DISABLE;
    sigaltstack(&alternate, nullptr);
    munmap(memory, 65536);
}

static void coroutines() {
    for (int r = 0; r < 20; r++) {
        void *stack = mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        getcontext(&co);
        co.uc_stack.ss_sp = stack;
        co.uc_stack.ss_size = 65536;
        co.uc_link = &main_ctx;
        makecontext(&co, coroutine, 0);
        for (int i = 0; i < 30; i++) {
            swapcontext(&main_ctx, &co);
            rec(i % 3);
        }
        munmap(stack, 65536);
    }
}

static void libraries() {
    for (int i = 0; i < 50; i++) {
        void *one = dlopen(i % 2 ? "libz.so.1" : "libm.so.6", RTLD_NOW), *other = dlopen("libbz2.so.1.0", RTLD_NOW);
        rec(3);
        if (one) dlclose(one);
        if (other) dlclose(other);
        rec(3);
    }
}

int main() {
    every_local_kind();
    longjmps_and_exceptions();
    int v[64];
    for (int i = 0; i < 64; i++) v[i] = (i * 37) % 64;
    qsort(v, 64, sizeof *v, cmp);
    timer_signals();
    signals_on_another_stack();
    coroutines();
    pthread_t t[40];
    for (auto &x : t) pthread_create(&x, nullptr, thread, nullptr);
    for (auto &x : t) pthread_join(x, nullptr);
    libraries();
    if (system("true") != 0) return 1;
    puts("done");
}
