// SPDX-License-Identifier: Apache-2.0
// coroutines.cpp: C++20's coroutines, which have no stack of their own: a frame on the heap that is resumed from one stack or
// another, ends on a third, or is destroyed before its end.
#include "torture.h"

#include <coroutine>
#include <exception>
#include <string>
#include <thread>
#include <utility>

namespace {

constexpr int ROUNDS = 100;

class Generator {
  public:
    struct promise_type {
        std::string value;
        Generator get_return_object() { return Generator{Handle::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(std::string next) {
            value = std::move(next);
            return {};
        }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    using Handle = std::coroutine_handle<promise_type>;

    explicit Generator(Handle h) : handle(h) {}
    Generator(const Generator &) = delete;
    ~Generator() { handle.destroy(); }
    bool next() {
        handle.resume();
        return !handle.done();
    }
    const std::string &value() const { return handle.promise().value; }

  private:
    Handle handle;
};

Generator strings(int count) {
    std::string held(200, 'h'); // in the frame, across each suspension
    for (int i = 0; i < count; i++) {
        churn(3);
        co_yield held.substr(0, 50) + std::to_string(i);
    }
}

Generator nested(int depth) {
    if (depth > 0) {
        Generator inner = nested(depth - 1);
        while (inner.next()) co_yield inner.value() + std::string(30, 'n');
    } else {
        co_yield std::string(100, 'o');
    }
}

SITE size_t drain(Generator &g) {
    size_t sum = 0;
    while (g.next()) sum += g.value().size();
    return sum;
}

int generators() {
    size_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        Generator flat = strings(5), deep = nested(20);
        sum += drain(flat) + drain(deep);
    }
    check(sum == ROUNDS * (5 * 51 + 100 + 20 * 30), "what was generated");
    say("generated\n");
    return 9;
}

// Begun here, resumed by another thread, destroyed half way by this one.
int left_unfinished() {
    size_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        Generator g = strings(10);
        g.next();
        std::thread other([&] {
            for (int i = 0; i < round % 7; i++) g.next();
            sum += g.value().size();
        });
        other.join();
    }
    check(sum == ROUNDS * 51, "what the other threads saw");
    say("left unfinished\n");
    return 9;
}

} // namespace

int main(int argc, char **argv) {
    static const struct hazard all[] = {HAZARD(generators), HAZARD(left_unfinished), {}};
    return run_hazard(all, argc, argv);
}
