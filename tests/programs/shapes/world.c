// SPDX-License-Identifier: Apache-2.0
// Chance, time, blocks and truth: what all families share.
#define _GNU_SOURCE
#include "shape.h"

#include "recorder/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NOTES_BYTES = 256 << 20, STEPS = 64 };

struct world world;

static _Thread_local uint64_t random_state;
static int driver_fd;
static struct site *sites;
static struct crowd *crowds;
static double unwarmed_load_log; // AR(1), of the load's logarithm

static struct {
    const char *function;
    double at_s, bytes;
} steps[STEPS];
static unsigned step_count;

// ---- Chance ---------------------------------------------------------------------------------------------------------

void sow(uint64_t begin) { random_state = begin; }

static uint64_t next_random(void) { // splitmix64
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

double uniform(double least, double most) { return least + (most - least) * (double)(next_random() >> 11) * 0x1p-53; }

double log_uniform(double least, double most) { return exp(uniform(log(least), log(most))); }

bool chance(double probability) { return uniform(0, 1) < probability; }

double normal(void) { return sqrt(-2 * log(1 - uniform(0, 1))) * cos(uniform(0, 2 * M_PI)); }

unsigned poisson(double mean) {
    if (mean > 500) return (unsigned)fmax(0, round(mean + sqrt(mean) * normal()));
    unsigned count = 0;
    for (double left = exp(-mean), product = uniform(0, 1); product > left; product *= uniform(0, 1)) count++;
    return count;
}

// ---- Sites and truth ------------------------------------------------------------------------------------------------

void site_took(struct site *site, size_t bytes) { // by several threads at once
    __atomic_fetch_add(&site->in_use, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&site->allocated, bytes, __ATOMIC_RELAXED);
}

void site_gave(struct site *site, size_t bytes) { __atomic_fetch_sub(&site->in_use, bytes, __ATOMIC_RELAXED); }

void expect(struct site *site, enum verdict verdict, double bytes_per_hour) {
    site->verdict = verdict;
    site->bytes_per_hour = bytes_per_hour;
    if (site->expected) return;
    site->expected = true;
    site->next = sites;
    sites = site;
}

void expect_step(struct site *site, double bytes) {
    if (step_count == STEPS) abort(); // raise it
    steps[step_count].function = site->function;
    steps[step_count].at_s = world.now_s;
    steps[step_count++].bytes = bytes;
}

// At the moments that this step has passed.
static void note_curves(double before_s) {
    for (unsigned k = 0; k < CURVE; k++) {
        double at = world.duration_s * k / (CURVE - 1);
        if (at < before_s || at >= world.now_s) continue;
        for (struct site *site = sites; site; site = site->next) site->curve[k] = (double)site->in_use;
    }
}

static const char *const VERDICTS[] = {"steady", "leak", "growing", "filling", "cyclic"};

static void print_site(const struct site *site) {
    printf("{\"function\": \"%s\", \"verdict\": \"%s\", \"bytes_per_hour\": %.6g, \"allocated\": %.0f, \"group\": ",
           site->function, VERDICTS[site->verdict], site->bytes_per_hour, (double)site->allocated);
    printf(site->group ? "\"%s\", \"curve\": [" : "null, \"curve\": [", site->group);
    for (unsigned k = 0; k < CURVE; k++) printf("%s%.0f", k ? ", " : "", site->curve[k]);
    printf("]}");
}

static char output[1 << 18]; // so that stdio allocates none

static const char *family_name;
static unsigned long seed;
static double kept_bytes; // 0: to be drawn

double kept_in_all(double least, double most) {
    double drawn = log_uniform(least, most);
    return kept_bytes > 0 ? kept_bytes : drawn;
}

void report_truth(void) {
    setvbuf(stdout, output, _IOFBF, sizeof output);
    printf("{\"family\": \"%s\", \"seed\": %lu, \"pid\": %d, \"duration_s\": %.3f, \"step_s\": %.3f, \"sites\": [",
           family_name, seed, (int)getpid(), world.duration_s, world.step_s);
    for (const struct site *site = sites; site; site = site->next) {
        print_site(site);
        if (site->next) printf(", ");
    }
    printf("], \"steps\": [");
    for (unsigned i = 0; i < step_count; i++)
        printf("%s{\"function\": \"%s\", \"t_s\": %.3f, \"bytes\": %.0f}", i ? ", " : "", steps[i].function,
               steps[i].at_s, steps[i].bytes);
    printf("]}\n");
    if (fflush(stdout)) abort();
}

// ---- Blocks ---------------------------------------------------------------------------------------------------------

void *notes(size_t bytes) {
    static _Alignas(64) char room[NOTES_BYTES];
    static size_t used;
    void *place = room + used;
    used += (bytes + 63) & ~(size_t)63;
    if (used > sizeof room) abort(); // raise it
    return place;
}

enum { CROWD_ROOM = 1 << 18 };

struct crowd *crowd_make(struct site *site, void *(*make)(size_t), double mean_bytes) {
    struct crowd *crowd = notes(sizeof *crowd);
    *crowd = (struct crowd){.site = site, .make = make, .mean_bytes = mean_bytes, .next = crowds};
    crowd->blocks = notes(CROWD_ROOM * sizeof *crowd->blocks);
    crowds = crowd;
    expect(site, STEADY, 0);
    return crowd;
}

size_t crowd_size(const struct crowd *crowd) { return crowd->end - crowd->first; }

void crowd_add(struct crowd *crowd, size_t bytes) {
    if (crowd->end == CROWD_ROOM) { // what was dropped at the front makes room
        memmove(crowd->blocks, crowd->blocks + crowd->first, crowd_size(crowd) * sizeof *crowd->blocks);
        crowd->end -= crowd->first;
        crowd->first = 0;
        if (crowd->end == CROWD_ROOM) abort(); // raise it
    }
    crowd->blocks[crowd->end++] = (struct block){crowd->make(bytes), bytes};
}

// Between half and one and a half times the mean: real sizes differ, and none is far from the rest.
static size_t some_bytes(const struct crowd *crowd) { return (size_t)fmax(1, crowd->mean_bytes * uniform(0.5, 1.5)); }

void crowd_arrive(struct crowd *crowd, unsigned count) {
    for (; count; count--) crowd_add(crowd, some_bytes(crowd));
}

void crowd_add_bytes(struct crowd *crowd, double bytes) {
    for (double sum = 0; sum < bytes; sum += (double)crowd->blocks[crowd->end - 1].bytes)
        crowd_add(crowd, some_bytes(crowd));
}

static void drop(struct crowd *crowd, struct block block) {
    site_gave(crowd->site, crowd->site->mapped ? (block.bytes + 4095) & ~4095ul : block.bytes);
    if (crowd->site->mapped)
        munmap(block.start, block.bytes);
    else
        free(block.start);
}

void crowd_leave(struct crowd *crowd, double probability) {
    size_t kept = crowd->first;
    for (size_t i = crowd->first; i < crowd->end; i++)
        if (chance(probability))
            drop(crowd, crowd->blocks[i]);
        else
            crowd->blocks[kept++] = crowd->blocks[i];
    crowd->end = kept;
}

void crowd_drop_oldest(struct crowd *crowd, size_t count) {
    for (; count && crowd->first < crowd->end; count--) drop(crowd, crowd->blocks[crowd->first++]);
}

void crowd_drop_all(struct crowd *crowd) { crowd_drop_oldest(crowd, crowd_size(crowd)); }

struct traffic traffic_make(struct crowd *crowd, double size, double life) {
    return (struct traffic){.crowd = crowd, .size = size, .life = life};
}

void traffic_step(struct traffic *traffic, double load) {
    double lives = share() / traffic->life; // in one step
    crowd_leave(traffic->crowd, 1 - exp(-lives));
    // Those that come and go within the step were here, too: the allocator sees them.
    unsigned staying = poisson(traffic->size * load * (1 - exp(-lives)));
    unsigned passing = poisson(traffic->size * load * fmax(0, lives - (1 - exp(-lives))));
    for (; passing; passing--) {
        crowd_add(traffic->crowd, some_bytes(traffic->crowd));
        drop(traffic->crowd, traffic->crowd->blocks[--traffic->crowd->end]);
    }
    crowd_arrive(traffic->crowd, staying);
}

void keep_step(struct crowd *crowd, double bytes, double load) {
    crowd_arrive(crowd, poisson(bytes / crowd->mean_bytes * share() * load));
}

// ---- Time -----------------------------------------------------------------------------------------------------------

SHAPE_SITE(background_request)
SHAPE_SITE(background_session)
SHAPE_SITE(background_settings)

static struct traffic background[2];

static void make_background(void) {
    double sessions = log_uniform(100, 1000), requests = log_uniform(30, 300);
    background[0] = traffic_make(CROWD_OF(background_request, log_uniform(300, 3000)), requests,
                                 log_uniform(2e-3, 2e-2) / world.haste);
    background[1] = traffic_make(CROWD_OF(background_session, log_uniform(300, 3000)), sessions,
                                 log_uniform(5e-3, 5e-2) / world.haste);
    crowd_add_bytes(CROWD_OF(background_settings, 500), log_uniform(1e5, 1e6));
}

bool going(void) { return world.now_s < world.duration_s; }
double progress(void) { return world.now_s / world.duration_s; }
double share(void) { return world.step_s / world.duration_s; }
double per_hour(double bytes_in_all) { return bytes_in_all * 3600 / world.duration_s; }

static void forward_clock(void) {
    struct clock_request request = {.forward_ns = (uint64_t)((world.step_s + world.asleep_s) * 1e9),
                                    .realtime_jump_ns = (int64_t)(world.wall_jump_s * 1e9)};
    struct clock_answer answer;
    if (driver_fd < 0) return; // without a recorder: as fast as it goes
    if (send(driver_fd, &request, sizeof request, MSG_NOSIGNAL) != sizeof request) abort();
    ssize_t n;
    while ((n = recv(driver_fd, &answer, sizeof answer, 0)) < 0 && errno == EINTR) {
    }
    if (n != sizeof answer) abort();
}

static void draw_load(void) {
    const double memory = 0.7; // of the noise, from step to step
    unwarmed_load_log = memory * unwarmed_load_log + sqrt(1 - memory * memory) * world.noise * normal();
    double warm = fmin(1, progress() / world.warm_up), tide = world.tide ? world.tide(progress()) : 1;
    world.load = warm * tide * exp(unwarmed_load_log - world.noise * world.noise / 2);
}

void pass(void) {
    double before = world.now_s;
    for (unsigned i = 0; i < 2 && background[i].crowd; i++)
        traffic_step(&background[i], world.traffic * world.load / (world.tide ? world.tide(progress()) : 1));
    forward_clock();
    world.wall_jump_s = world.asleep_s = 0;
    world.now_s += world.step_s;
    note_curves(before);
    draw_load();
}

// ---- The program ----------------------------------------------------------------------------------------------------

static void free_everything(void) {
    for (struct crowd *crowd = crowds; crowd; crowd = crowd->next) crowd_drop_all(crowd);
}

static const struct family *const FAMILIES[] = {LEAKS, GROWTHS, BOUNDED, CYCLES, QUIET};

static const struct family *find(const char *name) {
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++)
        for (const struct family *family = FAMILIES[i]; family->name; family++) {
            if (name && !strcmp(family->name, name)) return family;
            if (!name) printf("%s %s\n", family->name, family->leaks ? "leaks" : "flat");
        }
    return NULL;
}

static void make_world(const struct family *family) {
    bool own_time = family->least_s > 0, own_steps = family->least_steps > 0;
    world.duration_s = log_uniform(own_time ? family->least_s : 1800, own_time ? family->most_s : 180000);
    double count = log_uniform(own_steps ? family->least_steps : 120, own_steps ? family->most_steps : 400);
    world.step_s = world.duration_s / round(count);
    world.duration_s -= world.step_s / 2; // so that going() does not depend on how sums are rounded
    world.noise = log_uniform(0.03, 0.3);
    world.warm_up = log_uniform(0.005, 0.05);
    world.traffic = log_uniform(0.3, 3);
    if (!family->silent) make_background();
    draw_load();
}

int main(int argc, char **argv) {
    if (argc == 1) return find(NULL) != NULL;
    const struct family *family = argc >= 3 && argc <= 5 ? find(argv[1]) : NULL;
    if (!family) return 2;
    family_name = family->name;
    seed = strtoul(argv[2], NULL, 10);
    kept_bytes = argc > 3 ? strtod(argv[3], NULL) : 0;
    world.haste = argc > 4 ? strtod(argv[4], NULL) : 1;
    random_state = seed * 0x2545f4914f6cdd1dull + (uint64_t)(uintptr_t)strlen(family->name);
    for (const char *letter = family->name; *letter; letter++) random_state = next_random() ^ (uint64_t)*letter;
    const char *fd = getenv("CLOCK_FD");
    driver_fd = fd ? atoi(fd) : -1;
    make_world(family);
    if ((chance(0.5) || family->tidy) && atexit(free_everything)) abort();
    family->run();
    return 0;
}
