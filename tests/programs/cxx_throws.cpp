// SPDX-License-Identifier: Apache-2.0
// cxx_throws.cpp: exceptions that pass through new, delete and frames that allocate. An exception object is a block too:
// the runtime takes it from malloc, with its own header in front, inside the function that throws.
#include "truth.h"
#include <cstdint>
#include <new>
#include <stdexcept>
#include <vector>

// sizeof(__cxxabiv1::__cxa_refcounted_exception) of the Itanium C++ ABI on 64-bit machines; libstdc++ has no header for it.
static_assert(sizeof(void *) == 8, "the size below is of 64-bit machines");
constexpr size_t EXCEPTION_HEADER = 128;
constexpr int ROUNDS = 50;

struct Refusal {
    int code;
};

SITE static void throws(int code) {
    if (hidden(0)) return; // never, but the compiler must not know, or callers lose the code behind the call
    took(EXCEPTION_HEADER + sizeof(Refusal));
    throw Refusal{code};
}
static void caught_what_throws_threw() { gave("throws", EXCEPTION_HEADER + sizeof(Refusal)); }

struct Fussy {
    char bytes[600];
    explicit Fussy(int i) {
        KEEP(this);
        if (i % 2) throws(i);
    }
};

// A constructor that throws: what new had taken goes back by itself. Every other one is kept.
SITE static void news_what_may_throw() {
    for (int i = 0; i < ROUNDS; i++) {
        took(sizeof(Fussy));
        try {
            Fussy *kept = new Fussy(i);
            KEEP(kept);
        } catch (const Refusal &) {
            gave(__func__, sizeof(Fussy));
        }
        if (i % 2) caught_what_throws_threw();
    }
}

// Blocks held by frames that an exception unwinds.
SITE static void holds_while_thrown_through(int depth) {
    std::vector<char> held(hidden(1000));
    took(1000);
    KEEP(held.data());
    struct Returned {
        ~Returned() { gave("holds_while_thrown_through", 1000); }
    } returned;
    if (depth == 0)
        throws(depth);
    else
        holds_while_thrown_through(depth - 1);
    KEEP(held.data());
}

// new that fails throws bad_alloc, whose object the runtime allocates on our behalf.
SITE static void asks_for_too_much() {
    for (int i = 0; i < ROUNDS; i++) {
        try {
            KEEP(::operator new(hidden(PTRDIFF_MAX)));
            abort();
        } catch (const std::bad_alloc &) {
            took(EXCEPTION_HEADER + sizeof(std::bad_alloc));
        }
        gave(__func__, EXCEPTION_HEADER + sizeof(std::bad_alloc));
    }
}

// The nothrow form may throw and catch within the runtime: what it allocates on the way is the runtime's own affair, so
// this function is not part of the count.
SITE static void fails_quietly() {
    void *none = ::operator new(hidden(PTRDIFF_MAX), std::nothrow);
    if (none) abort();
}

int main() {
    news_what_may_throw();
    for (int i = 0; i < ROUNDS; i++) {
        try {
            holds_while_thrown_through(10);
        } catch (const Refusal &) {
        }
        caught_what_throws_threw();
    }
    asks_for_too_much();
    fails_quietly();
    truth_write(TRUTH_STAYS);
}
