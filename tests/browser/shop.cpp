// SPDX-License-Identifier: Apache-2.0
// shop.cpp: a small shop server that keeps memory in every way that a page about memory has to show.
//
//   shop [SECONDS [fixed]]               4 unless told; however long, the same 1,000 steps at an even pace
//
//   open_session     forgets each session, unless `fixed`      a leak
//   Catalog::find    keeps what was asked for, up to a bound   fills
//   nightly_report   collects rows, sends them, frees them     comes and goes
//   Journal::extend  maps its file further and further         grows, and is no block of the heap
//   parse_rules      reads its rules once, by recursion        stays, under deep stacks
//
// Compile with -O2 -g -fno-optimize-sibling-calls: a call in the last place would leave its caller out of the stacks.
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace shop {

constexpr int STEPS = 1000;

struct Session {
    std::vector<char> state;
    std::string customer;
};

// The compiler must not see that a block is never read, or it would remove the allocation.
void use(void *block) { __asm__ volatile("" : : "r"(block) : "memory"); }

bool fixed = false;

[[gnu::noinline]] void open_session(int number) {
    auto *session = new Session;
    session->state.resize(2000);
    session->customer = "customer number " + std::to_string(number);
    use(session);
    if (fixed) delete session; // else nobody ever will
}

class Catalog {
  public:
    [[gnu::noinline]] const std::string &find(int article) {
        auto &text = texts[article % ARTICLES];
        if (text.empty()) text.assign(20000, 'a');
        return text;
    }

  private:
    static constexpr int ARTICLES = 250;
    std::unordered_map<int, std::string> texts;
};

class Report {
  public:
    [[gnu::noinline]] void nightly_report(int step) {
        if (step % (STEPS / 5) == STEPS / 5 - 1) rows.clear();
        rows.push_back(std::make_unique<std::string>(30000, 'r'));
    }

  private:
    std::vector<std::unique_ptr<std::string>> rows;
};

class Journal {
  public:
    [[gnu::noinline]] void extend() {
        void *more = mmap(nullptr, EXTENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more != MAP_FAILED) std::memset(more, 'j', EXTENT);
    }

  private:
    static constexpr size_t EXTENT = 256 * 1024;
};

struct Rule {
    std::unique_ptr<Rule> left, right;
    std::vector<int> weights;
};

[[gnu::noinline]] std::unique_ptr<Rule> parse_rules(int depth) {
    auto rule = std::make_unique<Rule>();
    rule->weights.resize(4000);
    if (depth > 0) {
        rule->left = parse_rules(depth - 1);
        rule->right = parse_rules(depth - 1);
    }
    return rule;
}

[[gnu::noinline]] void answer_request(Catalog &catalog, int step) {
    open_session(step);
    catalog.find(step * 7);
    for (int i = 0; i < 3; i++) open_session(step + i);
}

[[gnu::noinline]] void serve(double seconds) {
    const auto rules = parse_rules(7);
    Catalog catalog;
    Report report;
    Journal journal;
    const auto start = std::chrono::steady_clock::now();
    for (int step = 0; step < STEPS; step++) {
        answer_request(catalog, step);
        report.nightly_report(step);
        if (step % 50 == 0) journal.extend();
        std::this_thread::sleep_until(start + std::chrono::duration<double>(seconds * step / STEPS));
    }
}

} // namespace shop

int main(int argc, char **argv) {
    shop::fixed = argc > 2;
    shop::serve(argc > 1 ? std::atof(argv[1]) : 4.0);
    return 0;
}
