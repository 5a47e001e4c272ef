// SPDX-License-Identifier: Apache-2.0
// Which snapshots of the past go first, and how many.
// links: recorder/thin.c
#include "../recorder/thin.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 20000, SECOND = 1000000000 };
static struct past past[COUNT];
static uint32_t rank[COUNT];

static void lay_out(void) {
    for (uint32_t i = 0; i < COUNT; i++)
        past[i] = (struct past){.boottime_ns = 10ull * SECOND * (i + 1), .number = i + 1, .stays = i % 5000 == 1234};
}

static void test_order(void) {
    static bool seen[COUNT + 1];
    lay_out();
    int64_t ranks = thin_order(past, COUNT, rank);
    assert(ranks == COUNT - 2 - 4);
    for (uint32_t i = 0; i < COUNT; i++) {
        bool stays = i == 0 || i == COUNT - 1 || past[i].stays;
        assert((rank[i] == THIN_NEVER) == stays);
        if (stays) continue;
        assert(rank[i] >= 1 && rank[i] <= ranks && !seen[rank[i]]);
        seen[rank[i]] = true;
    }
}

// The widest gap between those of rank above `gone` in [from, to), and how many there are.
static uint32_t widest(uint32_t gone, uint32_t from, uint32_t to, uint32_t *ret_count) {
    uint32_t most = 0, last = from;
    *ret_count = 0;
    for (uint32_t i = from; i < to; i++) {
        if (rank[i] <= gone) continue;
        most = i - last > most ? i - last : most;
        last = i;
        ++*ret_count;
    }
    return most > to - last ? most : to - last;
}

// Half of those that stay lie evenly over the whole, the other half by ratios of age: so nowhere is a gap wider than some
// times the mean one, the last tenth has about half of all, and the last hundredth still a good part.
static void test_where_they_stay(void) {
    enum { LEFT = 500 };
    uint32_t all, late, last;
    lay_out();
    int64_t ranks = thin_order(past, COUNT, rank);
    uint32_t gone = (uint32_t)ranks - LEFT, gap = widest(gone, 0, COUNT, &all);
    widest(gone, COUNT / 10 * 9, COUNT, &late);
    widest(gone, COUNT / 100 * 99, COUNT, &last);
    assert(all == LEFT + 6 && gap <= 5 * COUNT / LEFT);
    assert(late > LEFT / 3 && late < LEFT / 3 * 2 && last > LEFT / 10);
}

// What was thinned before is thinned further in the same way: nothing that is new is lost, nothing old is all that is left.
static void test_again_and_again(void) {
    uint32_t count = 0, number = 0, kept;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 250; i++) {
            number++;
            past[count++] = (struct past){.boottime_ns = 10ull * SECOND * number, .number = number};
        }
        int64_t ranks = thin_order(past, count, rank);
        if (count <= 500) continue;
        kept = 0;
        for (uint32_t i = 0; i < count; i++)
            if (rank[i] > (uint32_t)ranks - 250) past[kept++] = past[i];
        count = kept;
    }
    uint64_t whole = past[count - 1].boottime_ns - past[0].boottime_ns, most = 0;
    uint32_t early = 0;
    for (uint32_t i = 1; i < count; i++) {
        uint64_t gap = past[i].boottime_ns - past[i - 1].boottime_ns;
        most = gap > most ? gap : most;
        early += past[i].boottime_ns < past[0].boottime_ns + whole / 2;
    }
    assert(count >= 250 && past[0].number == 1 && most < whole / 25 && early > 40);
}

static void test_alternating(void) { // jitter: those that stay are not all of one parity, nor at one distance
    uint32_t odd = 0, all = 0, distances[64] = {0}, last = 0, kinds = 0;
    lay_out();
    int64_t ranks = thin_order(past, COUNT, rank);
    for (uint32_t i = 0; i < COUNT / 2; i++) {
        if (rank[i] <= (uint32_t)ranks - 1500) continue;
        odd += i & 1;
        all++;
        if (i - last < 64 && !distances[i - last]++) kinds++;
        last = i;
    }
    assert(odd > all / 3 && odd < all / 3 * 2 && kinds > 5);
}

static struct savings uniform(uint32_t ranks, uint64_t heavy, uint64_t light) {
    struct savings s = {.ranks = ranks, .total = ranks * (heavy + light) + 1000};
    s.all = calloc(ranks + 1, sizeof *s.all);
    s.light = calloc(ranks + 1, sizeof *s.light);
    for (uint32_t i = 1; i <= ranks; i++) s.all[i] = heavy + light, s.light[i] = light;
    return s;
}

static uint64_t left(const struct savings *s, struct choice c) {
    uint64_t bytes = s->total;
    for (uint32_t i = 0; i <= c.gone; i++) bytes -= s->all[i] - s->light[i];
    for (uint32_t i = 0; i <= c.gone_for_light; i++) bytes -= s->light[i];
    return bytes;
}

static void test_choice(void) {
    struct choice c;
    struct savings many = uniform(5000, 100, 100); // room for thousands: all stacks alike
    assert(thin_choose(&many, many.total / 2, &c) && c.gone == c.gone_for_light && left(&many, c) <= many.total / 2);
    assert(left(&many, c) > many.total / 2 - 400);
    assert(thin_choose(&many, many.total, &c) && c.gone == 0);
    assert(!thin_choose(&many, 500, &c) && c.gone == 5000);
    struct savings few = uniform(1000, 1000, 100000); // room for some fifty: light stacks at fewer moments
    uint64_t target = few.total / 20;
    assert(thin_choose(&few, target, &c) && left(&few, c) <= target);
    assert(c.gone < c.gone_for_light && 1000 - c.gone > 200 && 1000 - c.gone_for_light >= 10);
    free(many.all), free(many.light), free(few.all), free(few.light);
}

int main(void) {
    test_order();
    test_where_they_stay();
    test_again_and_again();
    test_alternating();
    test_choice();
    puts("ok");
    return 0;
}
