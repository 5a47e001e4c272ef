// SPDX-License-Identifier: Apache-2.0
// Families that grow without leaking block by block: steps that are not given back, and containers whose blocks are
// replaced.
#include "shape.h"

#include <math.h>

// ---- Steps ----------------------------------------------------------------------------------------------------------

static void step_up(struct crowd *crowd, double bytes) {
    crowd_add_bytes(crowd, bytes);
    expect_step(crowd->site, bytes);
}

// Hours of nothing, then all at once. An ordinary exit frees everything, so that nothing is ever "lost".
SHAPE_SITE(apply_setting)
static void grow_single_step(void) {
    double bytes = log_uniform(5e6, 5e7), at = uniform(0.27, 0.9);
    struct crowd *setting = CROWD_OF(apply_setting, log_uniform(1e3, 1e4));
    expect(setting->site, GROWING, 0);
    for (; going(); pass())
        if (progress() >= at && !crowd_size(setting)) step_up(setting, bytes);
    report_truth();
}

// The same, in the figures of the case that started it all: 15 MB in one night of many quiet ones, at every seed.
SHAPE_SITE(load_profile)
static void grow_overnight_jump(void) {
    double at = uniform(0.3, 0.8);
    struct crowd *setting = CROWD_OF(load_profile, 15e3);
    expect(setting->site, GROWING, 0);
    for (; going(); pass())
        if (progress() >= at && !crowd_size(setting)) step_up(setting, 15e6);
    report_truth();
}

// Two or three steps in a night or a week.
SHAPE_SITE(rotate_keys)
static void grow_rare_steps(void) {
    unsigned count = chance(0.5) ? 2 : 3, done = 0;
    double bytes = log_uniform(3e6, 3e7), at[3];
    for (unsigned i = 0; i < count; i++) at[i] = uniform(0.27 + 0.65 * i / count, 0.27 + 0.65 * (i + 0.8) / count);
    struct crowd *setting = CROWD_OF(rotate_keys, log_uniform(1e3, 1e4));
    expect(setting->site, GROWING, 0);
    for (; going(); pass())
        if (done < count && progress() >= at[done]) {
            step_up(setting, bytes * uniform(0.8, 1.25));
            done++;
        }
    report_truth();
}

// So many steps that they are a rate.
SHAPE_SITE(reload_config)
static void grow_many_steps(void) {
    double count = log_uniform(12, 60), bytes = log_uniform(3e5, 3e6);
    struct crowd *crowd = CROWD_OF(reload_config, log_uniform(500, 5000));
    expect(crowd->site, LEAK, per_hour(count * bytes));
    for (; going(); pass())
        for (unsigned k = poisson(count * share()); k; k--) crowd_add_bytes(crowd, bytes);
    report_truth();
}

// ---- Containers -----------------------------------------------------------------------------------------------------

static struct site table_reserve_site = {.function = "table_reserve"};
SITE static void *table_reserve(void *old, size_t old_bytes, size_t bytes) {
    void *table = realloc(old, bytes);
    KEEP(table);
    if (!table) abort();
    site_gave(&table_reserve_site, old_bytes);
    site_took(&table_reserve_site, bytes);
    return table;
}

// One array that is doubled whenever it is full, and filled at a constant rate.
static void grow_doubling(void) {
    double most = log_uniform(8e6, 8e7), used = 0;
    size_t room = 0;
    void *table = NULL;
    expect(&table_reserve_site, GROWING, 0);
    for (; going(); pass()) {
        for (used += most * share() * world.load; (double)room < used;) {
            size_t next = room ? room * 2 : 65536;
            table = table_reserve(table, room, next);
            room = next;
        }
    }
    report_truth();
    free(table);
}

// A queue into which more comes than goes out: each block leaves, and the queue grows.
SHAPE_SITE(enqueue_job)
static void grow_backlog(void) {
    double bytes = log_uniform(4e6, 4e7), mean = log_uniform(300, 3000), through = log_uniform(3, 30);
    struct crowd *queue = CROWD_OF(enqueue_job, mean);
    through = fmin(through, 1.5e5 * mean / bytes);
    expect(queue->site, GROWING, per_hour(bytes));
    for (; going(); pass()) {
        crowd_drop_oldest(queue, poisson(bytes * (through - 1) / mean * share() * world.load));
        crowd_arrive(queue, poisson(bytes * through / mean * share() * world.load));
    }
    report_truth();
}

// A map whose entries are replaced as often as new ones come.
SHAPE_SITE(store_entry)
static void grow_map(void) {
    double bytes = log_uniform(4e6, 4e7), mean = log_uniform(300, 3000);
    struct crowd *map = CROWD_OF(store_entry, mean);
    double fresh = bytes / mean * share(), replaced = fmin(fresh * log_uniform(1, 10), 1e5 * share());
    expect(map->site, GROWING, per_hour(bytes));
    for (; going(); pass()) {
        size_t before = crowd_size(map);
        if (before) crowd_leave(map, fmin(0.9, replaced * world.load / (double)before));
        crowd_arrive(map, (unsigned)(before - crowd_size(map)) + poisson(fresh * world.load));
    }
    report_truth();
}

const struct family GROWTHS[] = {
    {.name = "grow-single-step", .leaks = true, .run = grow_single_step, .tidy = true},
    {.name = "grow-overnight-jump",
     .leaks = true,
     .run = grow_overnight_jump,
     .tidy = true,
     .least_s = 30000,
     .most_s = 300000},
    {.name = "grow-rare-steps", .leaks = true, .run = grow_rare_steps, .tidy = true},
    {.name = "grow-many-steps", .leaks = true, .run = grow_many_steps},
    {.name = "grow-doubling", .leaks = true, .run = grow_doubling},
    {.name = "grow-backlog", .leaks = true, .run = grow_backlog},
    {.name = "grow-map", .leaks = true, .run = grow_map},
    {.name = NULL},
};
