// SPDX-License-Identifier: Apache-2.0
// stacks.cpp: control that leaves frames by other doors: exceptions thrown through the allocator, coroutines of two kinds,
// objects that are made before main and destroyed after it.
#include "torture.h"

#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#ifdef HAVE_BOOST
#include <boost/context/continuation.hpp>
#endif

namespace {

struct Held {
    Held() : block(static_cast<char *>(std::malloc(1000))) {}
    ~Held() {
        std::free(block);
        auto *later = static_cast<char *>(std::malloc(10)); // destructors allocate too
        std::free(later);
    }
    char *block;
};
Held before_main;
std::vector<std::string> names{"made before main, and long enough to be on the heap",
                               "and another one of such a length"};

SITE void throws(int depth) {
    std::string local(static_cast<size_t>(40 + depth), 'x');
    if (depth == 0) throw std::runtime_error(local);
    throws(depth - 1);
    asm volatile("" ::"r"(local.data()) : "memory");
}

SITE void asks_for_too_much() {
    volatile size_t much = static_cast<size_t>(PTRDIFF_MAX) - 4096;
    auto *p = new char[much];
    asm volatile("" ::"r"(p) : "memory"); // or the compiler may leave out both
    delete[] p;
}

int exceptions() {
    int caught = 0;
    for (int i = 0; i < 300; i++) {
        try {
            throws(i % 20);
        } catch (const std::exception &) {
            caught++;
        }
    }
    say(caught == 300 ? "all caught\n" : "FAILED: some were lost\n");
    return 4;
}

// Thrown by what the tool's frame called: it passes through that frame.
int bad_alloc() {
    int caught = 0;
    for (int i = 0; i < 50; i++) {
        try {
            asks_for_too_much();
        } catch (const std::bad_alloc &) {
            caught++;
        }
    }
    say(caught == 50 ? "no memory\n" : "FAILED: memory\n");
    return 4;
}

ucontext_t main_context, coroutine_context;
int turns;

void coroutine() {
    for (;;) {
        std::vector<int> v(static_cast<size_t>(100 + turns % 7), turns);
        turns += v[0] >= 0;
        void *p = std::malloc(64);
        swapcontext(&coroutine_context, &main_context);
        std::free(p);
    }
}

// Its stack is unmapped in the middle of its life, and mapped again for the next one.
SITE void a_coroutine() {
    constexpr size_t bytes = 64 << 10;
    void *stack = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    getcontext(&coroutine_context);
    coroutine_context.uc_stack.ss_sp = stack;
    coroutine_context.uc_stack.ss_size = bytes;
    makecontext(&coroutine_context, coroutine, 0);
    for (int i = 0; i < 20; i++) {
        swapcontext(&main_context, &coroutine_context);
        churn(5);
    }
    munmap(stack, bytes);
}

int coroutines() {
    for (int round = 0; round < 40; round++) a_coroutine();
    say(turns == 800 ? "800 turns\n" : "FAILED: lost turns\n");
    return 5;
}

int boost_coroutines() {
    int sum = 0;
#ifdef HAVE_BOOST
    namespace ctx = boost::context;
    for (int round = 0; round < 60; round++) {
        ctx::continuation c = ctx::callcc([&](ctx::continuation &&back) {
            for (int i = 0; i < 10; i++) {
                auto kept = std::make_unique<std::string>(100, 'k');
                sum += static_cast<int>(kept->size());
                back = back.resume();
            }
            return std::move(back);
        });
        for (int i = 0; i < 5 + round % 5; i++) c = c.resume(); // the rest is unwound by force when c goes
    }
#endif
    say(sum > 0 ? "resumed\n" : "no boost here\n");
    return 6;
}

int statics() {
    say(names[0].c_str());
    say("\n");
    std::exit(7); // static destructors, after main's frame was left for good
}

// Deeper than the agent keeps frames: there and back over that edge, with a block at each level.
SITE int down(int depth, std::vector<void *> &kept) {
    volatile char frame[16] = {};
    kept[static_cast<size_t>(depth)] = std::malloc(100);
    int below = depth > 0 ? down(depth - 1, kept) : 0;
    return below + 1 + frame[0];
}

int deeper_than_kept() {
    std::vector<void *> kept(1300);
    for (int depth : {1020, 1023, 1024, 1025, 1030, 1200, 1299})
        for (int turn = 0; turn < 3; turn++) {
            check(down(depth, kept) == depth + 1, "a level");
            for (int i = 0; i <= depth; i++) std::free(kept[static_cast<size_t>(i)]);
        }
    say("there and back\n");
    return 8;
}

} // namespace

int main(int argc, char **argv) {
    static const struct hazard all[] = {HAZARD(exceptions),
                                        HAZARD(bad_alloc),
                                        HAZARD(coroutines),
                                        HAZARD(boost_coroutines),
                                        HAZARD(statics),
                                        HAZARD(deeper_than_kept),
                                        {}};
    return run_hazard(all, argc, argv);
}
