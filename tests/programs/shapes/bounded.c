// SPDX-License-Identifier: Apache-2.0
// Families that grow towards a bound, and stay there: caches, pools, arenas, what is loaded once. None of them leaks.
#include "shape.h"

#include <math.h>

// Fills at a constant rate, then each new entry drives out the oldest.
SHAPE_SITE(cache_store)
static void fill_cache(void) {
    double bytes = log_uniform(4e6, 4e7), mean = log_uniform(300, 3000), full_at = uniform(0.08, 0.5);
    struct crowd *cache = CROWD_OF(cache_store, mean);
    size_t room = (size_t)(bytes / mean);
    expect(cache->site, FILLING, 0);
    for (; going(); pass()) {
        crowd_arrive(cache, poisson((double)room / full_at * share() * world.load));
        if (crowd_size(cache) > room) crowd_drop_oldest(cache, crowd_size(cache) - room);
    }
    report_truth();
}

// Keys are asked for at random and each is kept once seen: always slower, never full.
SHAPE_SITE(intern_string)
static void fill_slowly(void) {
    double keys = log_uniform(3000, 30000), mean = log_uniform(300, 3000), time = uniform(0.12, 0.35), seen = 0;
    struct crowd *cache = CROWD_OF(intern_string, mean);
    expect(cache->site, FILLING, 0);
    for (; going(); pass()) {
        double fresh = (keys - seen) * (1 - exp(-share() / time * world.load));
        unsigned count = (unsigned)fmin(keys - seen, poisson(fresh));
        crowd_arrive(cache, count);
        seen += count;
    }
    report_truth();
}

// Warm-up and nothing after it.
SHAPE_SITE(load_catalogue)
static void fill_once(void) {
    double bytes = log_uniform(4e6, 4e7), until = log_uniform(0.03, 0.3);
    struct crowd *catalogue = CROWD_OF(load_catalogue, log_uniform(300, 3000));
    expect(catalogue->site, FILLING, 0);
    for (; going(); pass())
        if (progress() < until) keep_step(catalogue, bytes / until, 1);
    report_truth();
}

// A pool takes a chunk when it has no object free, and never gives one back: what it holds is the most that was ever
// needed.
SHAPE_SITE(pool_grow)
static void fill_pool(void) {
    double chunk = log_uniform(3e4, 3e5), size = log_uniform(1e3, 1e4), life = log_uniform(2e-3, 2e-2), used = 0;
    struct crowd *pool = CROWD_OF(pool_grow, chunk);
    double object = chunk / log_uniform(8, 80), lives = share() / life;
    expect(pool->site, FILLING, 0);
    for (; going(); pass()) {
        used -= fmin(used, poisson(used * (1 - exp(-lives))));
        used += poisson(size * world.load * (1 - exp(-lives)));
        while ((double)crowd_size(pool) * chunk < used * object) crowd_add(pool, (size_t)chunk);
    }
    report_truth();
}

// An arena for each request, freed as a whole; what is seen is what requests are under way.
SHAPE_SITE(arena_chunk)
static void flat_arena(void) {
    double chunk = log_uniform(4e3, 4e4), chunks = log_uniform(5, 50), requests = log_uniform(5, 50);
    struct crowd *arena = CROWD_OF(arena_chunk, chunk);
    for (; going(); pass()) {
        crowd_drop_all(arena);
        for (unsigned k = poisson(requests); k; k--) {
            for (unsigned i = 1 + poisson(chunks * world.load); i; i--) crowd_add(arena, (size_t)chunk);
            if (k > 1) crowd_drop_all(arena); // the last one is under way when the snapshot is taken
        }
    }
    report_truth();
}

static struct site ring_reserve_site = {.function = "ring_reserve"};
SITE static void *ring_reserve(void *old, size_t old_bytes, size_t bytes) {
    void *ring = realloc(old, bytes);
    KEEP(ring);
    if (!ring) abort();
    site_gave(&ring_reserve_site, old_bytes);
    site_took(&ring_reserve_site, bytes);
    return ring;
}

// An array that was doubled until it was large enough, early, and never since.
static void fill_doubling(void) {
    double most = log_uniform(4e6, 4e7), until = uniform(0.05, 0.2), used = 0;
    size_t room = 0;
    void *ring = NULL;
    expect(&ring_reserve_site, FILLING, 0);
    for (; going(); pass()) {
        if (progress() < until) used += most / until * share();
        for (; (double)room < used; room = room ? room * 2 : 65536)
            ring = ring_reserve(ring, room, room ? room * 2 : 65536);
    }
    report_truth();
    free(ring);
}

const struct family BOUNDED[] = {
    {.name = "fill-cache", .run = fill_cache},
    {.name = "fill-slowly", .run = fill_slowly},
    {.name = "fill-once", .run = fill_once},
    {.name = "fill-pool", .run = fill_pool},
    {.name = "fill-doubling", .run = fill_doubling},
    {.name = "flat-arena", .run = flat_arena},
    {.name = NULL},
};
