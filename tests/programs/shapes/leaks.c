// SPDX-License-Identifier: Apache-2.0
// Families that leak: blocks of all ages that nobody will free, at a mean rate that does not fall.
#define _GNU_SOURCE
#include "shape.h"
#include "workers.h"

#include <math.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

// What is leaked over the whole run, in blocks of one size or another.
static struct crowd *leaking(struct crowd *crowd, double bytes) {
    expect(crowd->site, LEAK, per_hour(bytes));
    return crowd;
}

static void leak_at(struct crowd *crowd, double bytes) {
    leaking(crowd, bytes);
    for (; going(); pass()) keep_step(crowd, bytes, world.load);
    report_truth();
}

SHAPE_SITE(remember_user)
static void leak_steady(void) { leak_at(CROWD_OF(remember_user, log_uniform(256, 2560)), kept_in_all(3e6, 3e7)); }

SHAPE_SITE(remember_timer)
static void leak_slow(void) { leak_at(CROWD_OF(remember_timer, log_uniform(64, 640)), log_uniform(5e5, 5e6)); }

SHAPE_SITE(remember_picture)
static void leak_fast(void) { leak_at(CROWD_OF(remember_picture, log_uniform(4e3, 4e4)), log_uniform(3e7, 3e8)); }

// One block in a hundred or a thousand of a busy site is forgotten.
SHAPE_SITE(parse_message)
static void leak_under_churn(void) {
    double bytes = kept_in_all(3e6, 3e7), churn = bytes * log_uniform(10, 100) / 1e6;
    struct crowd *kept = CROWD_OF(parse_message, log_uniform(500, 5000)),
                 *used = CROWD_OF(parse_message, kept->mean_bytes);
    double life = log_uniform(1e-3, 1e-2);
    struct traffic traffic = traffic_make(used, fmax(10, churn * 1e6 / used->mean_bytes * life), life);
    leaking(kept, bytes);
    for (; going(); pass()) {
        traffic_step(&traffic, world.load);
        keep_step(kept, bytes, world.load);
    }
    report_truth();
}

// Errors come in bursts; each leaves its context behind.
SHAPE_SITE(make_error_context)
static void leak_error_path(void) {
    double bytes = log_uniform(3e6, 3e7), often = log_uniform(0.05, 0.5);
    struct crowd *crowd = leaking(CROWD_OF(make_error_context, log_uniform(200, 2000)), bytes);
    for (; going(); pass())
        if (chance(often)) keep_step(crowd, bytes / often, world.load);
    report_truth();
}

// All threads index; one of them forgets.
SHAPE_SITE(index_document)
static void index_step(struct worker *worker) {
    traffic_step(&worker->traffic, 1);
    if (worker->number == 0) crowd_arrive(worker->kept, worker->todo);
}
static void leak_one_thread(void) {
    double bytes = log_uniform(3e6, 3e7), mean = log_uniform(200, 2000);
    struct workers *workers = workers_start((unsigned)log_uniform(2, 20), index_step);
    double each = log_uniform(100, 1000) / workers->count;
    for (unsigned i = 0; i < workers->count; i++)
        workers->all[i].traffic = traffic_make(CROWD_OF(index_document, mean), each, log_uniform(3e-3, 3e-2));
    struct crowd *kept = workers->all[0].kept = leaking(CROWD_OF(index_document, mean), bytes);
    for (; going(); pass()) {
        workers->all[0].todo = poisson(bytes / kept->mean_bytes * share() * world.load);
        workers_step(workers);
    }
    report_truth();
}

// The parent has done its part and waits.
SHAPE_SITE(child_session)
static void leak_child(void) {
    double bytes = log_uniform(3e6, 3e7);
    while (progress() < 0.03) pass();
    pid_t child = fork();
    if (child < 0) _exit(1);
    if (child == 0) {
        leak_at(CROWD_OF(child_session, log_uniform(256, 2560)), bytes);
        return;
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) _exit(1);
}

static struct site map_segment_site = {.function = "map_segment", .mapped = true};
SITE static void *map_segment(size_t bytes) {
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    KEEP(start);
    if (start == MAP_FAILED) _exit(1);
    site_took(&map_segment_site, (bytes + 4095) & ~4095ul);
    return start;
}
static void leak_mmap(void) {
    double bytes = log_uniform(1e7, 1e8);
    leak_at(CROWD_OF(map_segment, log_uniform(3e4, 3e5)), bytes);
}

static double doubled(double progress) { return progress < 0.5 ? 1 : 2; }

SHAPE_SITE(track_request)
SHAPE_SITE(serve_request)
static void leak_load_doubles(void) {
    double bytes = log_uniform(3e6, 3e7);
    world.tide = doubled;
    struct crowd *crowd = CROWD_OF(track_request, log_uniform(256, 2560));
    struct traffic traffic =
        traffic_make(CROWD_OF(serve_request, log_uniform(300, 3000)), log_uniform(100, 1000), log_uniform(3e-3, 3e-2));
    expect(crowd->site, LEAK, per_hour(2 * bytes));
    for (; going(); pass()) {
        traffic_step(&traffic, world.load);
        keep_step(crowd, bytes, world.load);
    }
    report_truth();
}

static double days, morning;
static double daily(double progress) { return 1 + 0.8 * sin(2 * M_PI * (days * progress + morning)); }

// The load comes and goes, and some of what it brings stays.
SHAPE_SITE(open_cursor)
SHAPE_SITE(answer_query)
static void leak_daily(void) {
    double bytes = log_uniform(3e6, 3e7);
    days = 2 * round(uniform(1, 6)); // whole days in the second half: its mean load is 1
    morning = uniform(0, 1);
    world.tide = daily;
    struct crowd *crowd = leaking(CROWD_OF(open_cursor, log_uniform(256, 2560)), bytes);
    struct traffic traffic =
        traffic_make(CROWD_OF(answer_query, log_uniform(300, 3000)), log_uniform(100, 1000), log_uniform(2e-3, 1e-2));
    expect(&answer_query_site, CYCLIC, 0);
    for (; going(); pass()) {
        traffic_step(&traffic, world.load);
        keep_step(crowd, bytes, world.load);
    }
    report_truth();
}

// Nothing wrong until somebody switches something on.
SHAPE_SITE(attach_listener)
static void leak_late_start(void) {
    double bytes = log_uniform(4e6, 4e7), from = uniform(0.1, 0.45);
    struct crowd *crowd = leaking(CROWD_OF(attach_listener, log_uniform(256, 2560)), bytes);
    for (; going(); pass())
        if (progress() >= from) keep_step(crowd, bytes, world.load);
    report_truth();
}

// A machine that sleeps now and then, for much longer than between two snapshots: rates are of its waking time.
SHAPE_SITE(poll_sensor)
static void leak_asleep(void) {
    double bytes = log_uniform(3e6, 3e7), sleeps = log_uniform(1, 10);
    struct crowd *crowd = leaking(CROWD_OF(poll_sensor, log_uniform(256, 2560)), bytes);
    for (; going(); pass()) {
        keep_step(crowd, bytes, world.load);
        if (chance(sleeps * share())) world.asleep_s = world.step_s * log_uniform(30, 300);
    }
    report_truth();
}

// Objects of a pool are forgotten: what the allocator sees is chunk after chunk.
SHAPE_SITE(pool_refill)
static void leak_pool(void) {
    double chunk = log_uniform(3e4, 3e5), chunks = log_uniform(40, 400), filled = 0, used = 0;
    struct crowd *crowd = CROWD_OF(pool_refill, chunk);
    leaking(crowd, chunk * chunks);
    for (; going(); pass()) {
        used += chunk * poisson(chunks * share() * world.load * 30) / 30;
        for (; filled < used; filled += chunk) crowd_add(crowd, (size_t)chunk);
    }
    report_truth();
}

// Thirty sites below one caller, each too weak to be seen alone.
#define PART(n) SHAPE_SITE(read_field_##n)
#define TEN(m, t) m(t##0) m(t##1) m(t##2) m(t##3) m(t##4) m(t##5) m(t##6) m(t##7) m(t##8) m(t##9)
TEN(PART, 0)
TEN(PART, 1)
TEN(PART, 2)
#define PART_CROWD(n) crowd_make(&read_field_##n##_site, read_field_##n, mean),
enum { PARTS = 30 };

SITE static void import_record(struct crowd *const parts[PARTS], unsigned count) {
    for (; count; count--) crowd_arrive(parts[(unsigned)uniform(0, PARTS)], 1);
    KEEP(parts);
}

static void leak_spread(void) {
    double bytes = log_uniform(4e6, 4e7), mean = log_uniform(256, 2560);
    struct crowd *parts[PARTS] = {TEN(PART_CROWD, 0) TEN(PART_CROWD, 1) TEN(PART_CROWD, 2)};
    for (unsigned i = 0; i < PARTS; i++) {
        leaking(parts[i], bytes / PARTS);
        parts[i]->site->group = "import_record";
    }
    for (; going(); pass()) import_record(parts, poisson(bytes / mean * share() * world.load));
    report_truth();
}

const struct family LEAKS[] = {
    {.name = "leak-steady", .leaks = true, .run = leak_steady},
    {.name = "leak-slow", .leaks = true, .run = leak_slow},
    {.name = "leak-fast", .leaks = true, .run = leak_fast},
    {.name = "leak-under-churn", .leaks = true, .run = leak_under_churn},
    {.name = "leak-error-path", .leaks = true, .run = leak_error_path},
    {.name = "leak-one-thread", .leaks = true, .run = leak_one_thread},
    {.name = "leak-child", .leaks = true, .run = leak_child},
    {.name = "leak-mmap", .leaks = true, .run = leak_mmap},
    {.name = "leak-load-doubles", .leaks = true, .run = leak_load_doubles},
    {.name = "leak-daily", .leaks = true, .run = leak_daily},
    {.name = "leak-late-start", .leaks = true, .run = leak_late_start},
    {.name = "leak-asleep", .leaks = true, .run = leak_asleep},
    {.name = "leak-pool", .leaks = true, .run = leak_pool},
    {.name = "leak-spread", .leaks = true, .run = leak_spread},
    {.name = NULL},
};
