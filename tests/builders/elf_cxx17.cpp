// SPDX-License-Identifier: Apache-2.0
// A C++17 program with much inlining, for comparing symbolisers: templates, regex, containers, variants, threads.
#include <algorithm>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

namespace {

struct Circle {
    double radius;
};
struct Square {
    double side;
};
using Shape = std::variant<Circle, Square, std::string>;

double area(const Shape &shape) {
    return std::visit(
        [](const auto &value) -> double {
            using T = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<T, Circle>)
                return 3.14159 * value.radius * value.radius;
            else if constexpr (std::is_same_v<T, Square>)
                return value.side * value.side;
            else
                return static_cast<double>(value.size());
        },
        shape);
}

template <typename Key, typename Value> class Cache {
  public:
    explicit Cache(std::size_t limit) : limit_(limit) {}

    std::shared_ptr<Value> get(const Key &key, const std::function<Value(const Key &)> &make) {
        std::lock_guard<std::mutex> hold(lock_);
        if (auto found = entries_.find(key); found != entries_.end()) return found->second;
        if (order_.size() >= limit_) {
            entries_.erase(order_.front());
            order_.pop_front();
        }
        order_.push_back(key);
        return entries_.emplace(key, std::make_shared<Value>(make(key))).first->second;
    }

  private:
    std::size_t limit_;
    std::mutex lock_;
    std::deque<Key> order_;
    std::unordered_map<Key, std::shared_ptr<Value>> entries_;
};

struct Visitor {
    virtual ~Visitor() = default;
    virtual void visit(const std::string &word) = 0;
};

struct Counter final : Visitor {
    std::map<std::string, int> seen;
    void visit(const std::string &word) override { ++seen[word]; }
};

std::vector<std::string> words(const std::string &text) {
    static const std::regex word("([A-Za-z]+)|([0-9]+(\\.[0-9]*)?)");
    std::vector<std::string> found;
    for (std::sregex_iterator at(text.begin(), text.end(), word), end; at != end; ++at) found.push_back(at->str());
    return found;
}

template <typename Iterator> std::optional<double> median(Iterator first, Iterator last) {
    std::vector<double> copy(first, last);
    if (copy.empty()) return std::nullopt;
    auto middle = copy.begin() + static_cast<std::ptrdiff_t>(copy.size() / 2);
    std::nth_element(copy.begin(), middle, copy.end());
    return *middle;
}

} // namespace

int main(int argc, char **argv) {
    std::ostringstream text;
    for (int i = 0; i < argc; ++i) text << argv[i] << ' ' << i * 1.5 << ' ';
    Counter counter;
    for (const auto &word : words(text.str())) counter.visit(word);
    std::vector<Shape> shapes{Circle{1.0}, Square{2.0}, std::string("three")};
    std::vector<double> areas;
    std::transform(shapes.begin(), shapes.end(), std::back_inserter(areas), area);
    Cache<std::string, std::set<int>> cache(2);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&cache, i] {
            cache.get(std::to_string(i), [](const std::string &key) { return std::set<int>(key.begin(), key.end()); });
        });
    for (auto &thread : threads) thread.join();
    std::cout << counter.seen.size() << ' ' << median(areas.begin(), areas.end()).value_or(0.0) << ' '
              << std::accumulate(areas.begin(), areas.end(), 0.0) << '\n';
}
