// SPDX-License-Identifier: Apache-2.0
// Families that rise and fall: sawteeth of every period, collected heaps, load that comes and goes, backlogs that
// drain. None of them leaks.
#define _GNU_SOURCE
#include "shape.h"

#include <math.h>

// Grows by `bytes` in each period, then everything is dropped at once. `at` counts periods.
static void saw(struct crowd *crowd, double bytes, double *at, double periods) {
    double before = floor(*at);
    *at += periods;
    if (floor(*at) > before) {
        crowd_drop_all(crowd);
        crowd_add_bytes(crowd, bytes * (*at - floor(*at)));
    } else {
        crowd_add_bytes(crowd, bytes * periods);
    }
}

SHAPE_SITE(batch_append)
static void cycle_sawtooth(void) {
    double bytes = log_uniform(2e6, 2e7), periods = log_uniform(6, 60), at = uniform(0, 1);
    struct crowd *batch = CROWD_OF(batch_append, log_uniform(500, 5000));
    bytes = fmin(bytes, 2e5 * batch->mean_bytes / periods);
    expect(batch->site, CYCLIC, 0);
    for (; going(); pass()) saw(batch, bytes, &at, periods * share() * world.load);
    report_truth();
}

// One to four periods in the whole run, and at least one fall in it.
SHAPE_SITE(segment_append)
static void cycle_near_run(void) {
    double bytes = log_uniform(4e6, 4e7), periods = log_uniform(1.2, 4), at = uniform(0, 1);
    struct crowd *segment = CROWD_OF(segment_append, log_uniform(500, 5000));
    expect(segment->site, CYCLIC, 0);
    crowd_add_bytes(segment, bytes * at);
    for (; going(); pass()) saw(segment, bytes, &at, periods * share());
    report_truth();
}

// About as long as the time between two snapshots, 10 s: what snapshots show is the beat of the two.
SHAPE_SITE(frame_buffer)
static void cycle_near_snapshot(void) {
    double bytes = log_uniform(1e5, 1e6), period_s = 10 * log_uniform(0.4, 4), at = uniform(0, 1), jitter = 0.05;
    struct crowd *frame = CROWD_OF(frame_buffer, log_uniform(3e3, 3e4));
    expect(frame->site, CYCLIC, 0);
    for (; going(); pass()) saw(frame, bytes, &at, world.step_s / period_s * uniform(1 - jitter, 1 + jitter));
    report_truth();
}

// A collected heap: all is kept until it is twice what survived last time; what is dead goes then, and only then.
SHAPE_SITE(gc_alloc)
static void cycle_collected(void) {
    double live = log_uniform(1e6, 1e7), mean = log_uniform(300, 3000), rate = live * log_uniform(10, 100);
    struct crowd *heap = CROWD_OF(gc_alloc, mean);
    double limit = 2 * live;
    rate = fmin(rate, 2e5 * mean);
    expect(heap->site, CYCLIC, 0);
    crowd_add_bytes(heap, live);
    for (; going(); pass()) {
        keep_step(heap, rate, world.load);
        if ((double)heap->site->in_use < limit) continue;
        double survivors = live * exp(0.15 * normal());
        crowd_leave(heap, fmax(0, 1 - survivors / (double)heap->site->in_use));
        limit = 2 * (double)heap->site->in_use;
    }
    report_truth();
}

static double days, morning, depth;
static double daily(double progress) { return 1 + depth * sin(2 * M_PI * (days * progress + morning)); }

// Load that comes and goes; the run ends at any time of the day.
SHAPE_SITE(serve_session)
static void cycle_daily(void) {
    days = log_uniform(2.5, 25);
    morning = uniform(0, 1);
    depth = uniform(0.4, 0.9);
    world.tide = daily;
    struct traffic traffic =
        traffic_make(CROWD_OF(serve_session, log_uniform(500, 5000)), log_uniform(300, 3000), log_uniform(2e-3, 1e-2));
    expect(&serve_session_site, CYCLIC, 0);
    for (; going(); pass()) traffic_step(&traffic, world.load);
    report_truth();
}

// From half time on there is twice as much to do, and so twice as much under way.
static double doubled(double progress) { return progress < 0.5 ? 1 : 2; }
SHAPE_SITE(hold_request)
static void flat_load_doubles(void) {
    world.tide = doubled;
    struct traffic traffic =
        traffic_make(CROWD_OF(hold_request, log_uniform(500, 5000)), log_uniform(300, 3000), log_uniform(2e-3, 2e-2));
    for (; going(); pass()) traffic_step(&traffic, world.load);
    report_truth();
}

// For a while more comes than goes; then it is worked off, once to three times, and the last time before the run is
// over.
SHAPE_SITE(queue_message)
static void cycle_backlog_drains(void) {
    unsigned times = 1 + (unsigned)uniform(0, 3);
    double bytes = log_uniform(4e6, 4e7), mean = log_uniform(500, 5000), peak = uniform(0.3, 0.7), slot = 0.95 / times;
    double through = fmin(bytes * log_uniform(2, 8), 5e4 * mean);
    struct crowd *queue = CROWD_OF(queue_message, mean);
    expect(queue->site, times > 1 ? CYCLIC : STEADY, 0);
    for (; going(); pass()) {
        double phase = progress() < 0.95 ? fmod(progress(), slot) / slot / 0.85 : 1; // of this backlog: none from 1 on
        double level = phase < peak ? phase / peak : phase < 1 ? (1 - phase) / (1 - peak) : 0;
        unsigned arriving = poisson(through / mean * share() * world.load);
        size_t waiting = (size_t)(bytes / mean * level), staying = waiting + arriving / 8, now = crowd_size(queue);
        crowd_arrive(queue, arriving + (staying > now + arriving ? (unsigned)(staying - now - arriving) : 0));
        now = crowd_size(queue);
        if (now > staying) crowd_drop_oldest(queue, now - staying);
    }
    report_truth();
}

const struct family CYCLES[] = {
    {.name = "cycle-sawtooth", .run = cycle_sawtooth},
    {.name = "cycle-near-run", .run = cycle_near_run},
    {.name = "cycle-near-snapshot",
     .run = cycle_near_snapshot,
     .least_s = 2400,
     .most_s = 4800,
     .least_steps = 960,
     .most_steps = 1920},
    {.name = "cycle-collected", .run = cycle_collected},
    {.name = "cycle-daily", .run = cycle_daily},
    {.name = "cycle-backlog-drains", .run = cycle_backlog_drains},
    {.name = "flat-load-doubles", .run = flat_load_doubles},
    {.name = NULL},
};
