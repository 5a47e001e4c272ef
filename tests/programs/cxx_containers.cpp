// SPDX-License-Identifier: Apache-2.0
// cxx_containers.cpp: containers that grow behind calls which -O2 inlines. The frames on top are libstdc++'s; the site is
// the function that pushes. What a container asks for is derived from its capacity, not from a profiler.
#include "truth.h"
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct Point {
    double x, y, z;
};

// Counts for `site` a container's step from one size in bytes to another; the old block goes after the new one came.
static void stepped(const char *site, size_t before, size_t after) {
    if (before == after) return;
    took_by(site, after);
    if (before) gave(site, before);
}

SITE static void grows_a_vector(std::vector<Point> &points) {
    for (int i = 0; i < 1000; i++) {
        size_t before = points.capacity();
        points.push_back(Point{1.0 * i, 2.0 * i, 3.0 * i});
        stepped(__func__, before * sizeof(Point), points.capacity() * sizeof(Point));
    }
    KEEP(points.data());
}

// Two inlined calls of our own between the site and the container: with -O2 all three are one frame of the machine's.
__attribute__((always_inline)) static inline void appends_one(std::vector<int> &numbers, int number) {
    size_t before = numbers.capacity();
    numbers.push_back(number);
    stepped(__func__, before * sizeof(int), numbers.capacity() * sizeof(int));
}
__attribute__((always_inline)) static inline void appends_both(std::vector<int> &numbers, int number) {
    appends_one(numbers, number);
    appends_one(numbers, -number);
}
SITE static void calls_inlined_ones(std::vector<int> &numbers) {
    for (int i = 0; i < 500; i++) appends_both(numbers, i);
    KEEP(numbers.data());
}

// A string keeps up to 15 characters in itself; beyond them it asks for capacity and one more.
SITE static void grows_a_string(std::string &text) {
    const size_t inside = std::string().capacity();
    for (int i = 0; i < 5000; i++) {
        size_t before = text.capacity();
        text.push_back(static_cast<char>('a' + i % 26));
        stepped(__func__, before == inside ? 0 : before + 1, text.capacity() == inside ? 0 : text.capacity() + 1);
    }
    KEEP(text.data());
}

SITE static void fills_a_map(std::map<int, Point> &map) {
    const size_t node = sizeof(std::_Rb_tree_node<std::pair<const int, Point>>);
    for (int i = 0; i < 200; i++) {
        map[i] = Point{};
        took(node);
    }
    for (int i = 0; i < 200; i += 4) {
        map.erase(i);
        gave(__func__, node);
    }
    KEEP(&map);
}

SITE static void fills_a_list(std::list<Point> &list) {
    for (int i = 0; i < 100; i++) {
        list.push_front(Point{});
        took(sizeof(std::_List_node<Point>));
    }
    KEEP(&list);
}

SITE static std::unique_ptr<Point[]> makes_unique() {
    auto points = std::make_unique<Point[]>(hidden(77));
    took(77 * sizeof(Point));
    KEEP(points.get());
    return points;
}

SITE static void fills_and_drops() {
    std::vector<Point> points(hidden(400));
    took(400 * sizeof(Point));
    KEEP(points.data());
    gave(__func__, 400 * sizeof(Point)); // when it goes out of scope, here
}

int main() {
    std::vector<Point> points;
    std::vector<int> numbers;
    std::string text;
    std::map<int, Point> map;
    std::list<Point> list;
    grows_a_vector(points);
    calls_inlined_ones(numbers);
    grows_a_string(text);
    fills_a_map(map);
    fills_a_list(list);
    auto unique = makes_unique();
    fills_and_drops();
    truth_write(TRUTH_STAYS);
    _exit(0); // before main's own containers are destroyed
}
