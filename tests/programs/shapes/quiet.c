// SPDX-License-Identifier: Apache-2.0
// Families in which nothing grows, each with something that could be taken for growth.
#define _GNU_SOURCE
#include "shape.h"
#include "workers.h"

#include <math.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void flat_nothing(void) {
    while (going()) pass();
    report_truth();
}

// Heavy traffic of short and long life.
SHAPE_SITE(build_answer)
SHAPE_SITE(hold_connection)
static void flat_churn(void) {
    struct traffic answers =
        traffic_make(CROWD_OF(build_answer, log_uniform(300, 3000)), log_uniform(100, 1000), log_uniform(2e-3, 2e-2));
    struct traffic connections =
        traffic_make(CROWD_OF(hold_connection, log_uniform(1e3, 1e4)), log_uniform(50, 500), log_uniform(1e-2, 1e-1));
    for (; going(); pass()) {
        traffic_step(&answers, world.load);
        traffic_step(&connections, world.load);
    }
    report_truth();
}

// Small blocks that stay between large ones that go: the heap is in holes, and nothing in use grows.
SHAPE_SITE(pin_small)
SHAPE_SITE(drop_large)
static void flat_fragmentation(void) {
    struct crowd *large = CROWD_OF(drop_large, log_uniform(1e4, 1e5));
    struct traffic small = traffic_make(CROWD_OF(pin_small, 64), log_uniform(1e3, 1e4), log_uniform(5e-3, 5e-2));
    double rounds = log_uniform(3, 30);
    for (; going(); pass()) {
        for (unsigned k = (unsigned)rounds; k; k--) {
            crowd_arrive(large, 2);
            traffic_step(&small, world.load / rounds);
        }
        crowd_drop_all(large);
    }
    report_truth();
}

static struct site map_window_site = {.function = "map_window", .mapped = true};
SITE static void *map_window(size_t bytes) {
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    KEEP(start);
    if (start == MAP_FAILED) _exit(1);
    site_took(&map_window_site, bytes);
    return start;
}
static void flat_mmap(void) {
    struct crowd *windows = CROWD_OF(map_window, 65536);
    double size = log_uniform(5, 50), life = log_uniform(2e-3, 2e-2);
    for (; going(); pass()) {
        crowd_leave(windows, 1 - exp(-share() / life));
        for (unsigned k = poisson(size * world.load * (1 - exp(-share() / life))); k; k--)
            crowd_add(windows, (size_t)round(log_uniform(4, 64)) << 12);
    }
    report_truth();
}

// Threads that work, and others that come and go.
SHAPE_SITE(thread_scratch)
static void scratch_step(struct worker *worker) { traffic_step(&worker->traffic, 1); }

static struct crowd *passer_crowd;
SHAPE_SITE(passer_block)
static void *pass_by(void *data) {
    sow((uint64_t)(uintptr_t)data);
    crowd_arrive(passer_crowd, 10);
    crowd_drop_all(passer_crowd);
    return NULL;
}
static void flat_threads(void) {
    double mean = log_uniform(300, 3000), life = log_uniform(3e-3, 3e-2), size = log_uniform(100, 1000);
    struct workers *workers = workers_start((unsigned)log_uniform(2, 20), scratch_step);
    for (unsigned i = 0; i < workers->count; i++)
        workers->all[i].traffic = traffic_make(CROWD_OF(thread_scratch, mean), size / workers->count, life);
    passer_crowd = CROWD_OF(passer_block, 2000);
    for (uintptr_t number = 1; going(); pass(), number++) {
        pthread_t passer;
        if (pthread_create(&passer, NULL, pass_by, (void *)number) || pthread_join(passer, NULL)) abort();
        workers_step(workers);
    }
    report_truth();
}

// A child that serves for the rest of the run, with what it inherited.
SHAPE_SITE(child_answer)
static void flat_child(void) {
    struct traffic answers =
        traffic_make(CROWD_OF(child_answer, log_uniform(300, 3000)), log_uniform(100, 1000), log_uniform(3e-3, 3e-2));
    while (progress() < 0.03) pass();
    pid_t child = fork();
    if (child < 0) _exit(1);
    if (child == 0) {
        for (; going(); pass()) traffic_step(&answers, world.load);
        report_truth();
        return;
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) _exit(1);
}

// One large thing for a short while, late, and gone again before the end.
SHAPE_SITE(build_report)
static void flat_late_outlier(void) {
    double bytes = log_uniform(5e6, 5e7), from = uniform(0.7, 0.93), to = from + log_uniform(0.005, 0.04);
    struct crowd *report = CROWD_OF(build_report, log_uniform(1e3, 1e4));
    bool done = false;
    for (; going(); pass()) {
        if (progress() >= from && !done) {
            crowd_add_bytes(report, bytes);
            done = true;
        }
        if (progress() >= to) crowd_drop_all(report);
    }
    report_truth();
}

// The wall clock is set, by hours and either way, and the machine sleeps.
SHAPE_SITE(poll_device)
static void flat_clock_jumps(void) {
    struct traffic devices =
        traffic_make(CROWD_OF(poll_device, log_uniform(300, 3000)), log_uniform(100, 1000), log_uniform(3e-3, 3e-2));
    for (; going(); pass()) {
        traffic_step(&devices, world.load);
        if (chance(3 * share())) world.wall_jump_s = uniform(-1, 1) * log_uniform(600, 36000);
        if (chance(3 * share())) world.asleep_s = world.step_s * log_uniform(30, 300);
    }
    report_truth();
}

// Failures come in bursts, and what each holds is freed soon after.
SHAPE_SITE(handle_failure)
static void flat_bursts(void) {
    double often = log_uniform(0.03, 0.3), size = log_uniform(300, 3000), life = log_uniform(2e-3, 1e-2);
    struct crowd *failures = CROWD_OF(handle_failure, log_uniform(300, 3000));
    for (; going(); pass()) {
        crowd_leave(failures, 1 - exp(-share() / life));
        if (chance(often)) crowd_arrive(failures, poisson(size * world.load));
    }
    report_truth();
}

const struct family QUIET[] = {
    {.name = "flat-nothing", .run = flat_nothing, .silent = true},
    {.name = "flat-churn", .run = flat_churn},
    {.name = "flat-fragmentation", .run = flat_fragmentation},
    {.name = "flat-mmap", .run = flat_mmap},
    {.name = "flat-threads", .run = flat_threads},
    {.name = "flat-child", .run = flat_child},
    {.name = "flat-late-outlier", .run = flat_late_outlier},
    {.name = "flat-clock-jumps", .run = flat_clock_jumps},
    {.name = "flat-bursts", .run = flat_bursts},
    {.name = NULL},
};
