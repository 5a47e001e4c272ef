// SPDX-License-Identifier: Apache-2.0
// server.cpp: a multi-threaded server at rest after its work. Eight threads fill maps of strings, each its own and one that
// they share, and take most of it out again in another order. Says "ready" and waits for the end of its input.
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <vector>

static std::mutex lock;
static std::condition_variable changed;
static int working = 8;
static bool ended;
static std::map<long, std::string> shared;

static void work(int number) {
    std::mt19937 dice(static_cast<unsigned>(number));
    std::unordered_map<unsigned, std::string> own;
    for (int i = 0; i < 40000; i++) {
        own[dice()] = std::string(50 + dice() % 600, 'x');
        if (i % 4) continue;
        std::lock_guard<std::mutex> guard(lock);
        shared[number * 1000000L + i] = std::string(dice() % 2000, 'y');
    }
    for (auto entry = own.begin(); entry != own.end();) entry = dice() % 3 ? own.erase(entry) : std::next(entry);
    std::unique_lock<std::mutex> guard(lock);
    working--;
    changed.notify_all();
    changed.wait(guard, [] { return ended; });
}

int main() {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) threads.emplace_back(work, i);
    std::unique_lock<std::mutex> guard(lock);
    changed.wait(guard, [] { return working == 0; });
    guard.unlock();
    std::puts("ready");
    std::fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
    guard.lock();
    ended = true;
    guard.unlock();
    changed.notify_all();
    for (auto &thread : threads) thread.join();
}
