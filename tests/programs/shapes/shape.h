// SPDX-License-Identifier: Apache-2.0
// shape.h: what the families of shapes are made of. A shape is a way in which a program's memory moves over hours,
// with a known answer: which function's memory grows for good, and how fast.
//
//   shapes FAMILY SEED [KEPT [HASTE]]   drives the recorder's clock by $CLOCK_FD (recorder/clock.h), and prints its
//                                       truth as one line
//   shapes                              names the families: NAME leaks|flat
//
// KEPT: bytes that leak-steady and leak-under-churn keep in all (0: drawn). HASTE: so many times the background's
// turnover.
//
// A site is a function of its own that really calls the allocator. Everything that a family does not say is drawn from
// the seed: how long the run is, how many snapshots it has, load, noise, warm-up, sizes. Besides what it is about,
// every run has some steady traffic. A program's own notes (which blocks there are) are kept in static memory: nothing
// that is not meant is allocated.
#ifndef SHAPE_H
#define SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define SITE __attribute__((noinline, noclone)) // a function whose frame is seen under its own name
#define KEEP(p)                                                                                                        \
    __asm__ volatile("" : : "r"(p) : "memory") // its call of malloc is neither the last thing it does nor for nothing

enum { CURVE = 65 }; // in-use bytes of each site are noted at so many equidistant moments, both ends among them

enum verdict { STEADY, LEAK, GROWING, FILLING, CYCLIC };

struct site {
    const char *function;
    bool mapped;                // by mmap: in whole pages
    uint64_t in_use, allocated; // bytes
    // The truth, said by expect().
    enum verdict verdict;
    double bytes_per_hour; // over the second half, where it grows at a constant mean rate; else 0
    const char *group;     // the caller that stands for many weak sites; NULL: the site itself
    double curve[CURVE];
    struct site *next;
    bool expected;
};

void site_took(struct site *site, size_t bytes);
void site_gave(struct site *site, size_t bytes);

// Defines a site: a function `name` that allocates, and `name_site`, its account.
#define SHAPE_SITE(name)                                                                                               \
    static struct site name##_site = {.function = #name};                                                              \
    SITE static void *name(size_t bytes) {                                                                             \
        void *block = malloc(bytes);                                                                                   \
        KEEP(block);                                                                                                   \
        site_took(&name##_site, bytes);                                                                                \
        return block;                                                                                                  \
    }
#define CROWD_OF(name, mean) crowd_make(&name##_site, name, (mean))

void expect(struct site *site, enum verdict verdict, double bytes_per_hour);
void expect_step(struct site *site, double bytes); // now, at once, for good

// ---- Chance ---------------------------------------------------------------------------------------------------------

void sow(uint64_t begin); // where this thread's chance begins
double uniform(double least, double most);
double log_uniform(double least, double most);
unsigned poisson(double mean);
double normal(void);
bool chance(double probability);

// ---- Time -----------------------------------------------------------------------------------------------------------

struct world {
    double duration_s, step_s, now_s;
    double noise;                    // of the load, from step to step: the standard deviation of its logarithm
    double warm_up;                  // share of the run in which the load rises from nothing
    double traffic;                  // of the steady background
    double haste;                    // turnover of the background, times this
    double (*tide)(double progress); // how the load moves over the run; NULL: it does not
    double wall_jump_s;              // set the wall clock at the next pass()
    double asleep_s;                 // the machine sleeps so long in the next pass()
    double load;                     // mean 1 once warm, but for the tide
};
extern struct world world;

bool going(void);                     // the run is not over
void pass(void);                      // background traffic, then a step of the clock: the recorder takes a snapshot
double progress(void);                // 0 to 1
double share(void);                   // of the whole run, one step
double per_hour(double bytes_in_all); // spread over the run
double kept_in_all(double least, double most); // bytes: as asked for, or drawn
void report_truth(void);                       // one line on standard output

// ---- Blocks ---------------------------------------------------------------------------------------------------------

struct block {
    void *start;
    size_t bytes;
};

// Blocks of one site that are in use: the oldest first, unless some have left by lot.
struct crowd {
    struct site *site;
    void *(*make)(size_t bytes);
    struct block *blocks;
    size_t first, end;
    double mean_bytes;
    struct crowd *next;
};

void *notes(size_t bytes); // static memory, zeroed
struct crowd *crowd_make(struct site *site, void *(*make)(size_t), double mean_bytes);
size_t crowd_size(const struct crowd *crowd);
void crowd_add(struct crowd *crowd, size_t bytes);
void crowd_arrive(struct crowd *crowd, unsigned count);    // of random sizes with the crowd's mean
void crowd_add_bytes(struct crowd *crowd, double bytes);   // as many as make up so many bytes
void crowd_leave(struct crowd *crowd, double probability); // each of them, by lot
void crowd_drop_oldest(struct crowd *crowd, size_t count);
void crowd_drop_all(struct crowd *crowd);

// Arrivals at random, each staying for a random time: `size` blocks on average, each for `life` of the run.
struct traffic {
    struct crowd *crowd;
    double size, life;
};
struct traffic traffic_make(struct crowd *crowd, double size, double life);
void traffic_step(struct traffic *traffic, double load);

// What is kept for good: `bytes` over the whole run at load 1, a block at a time at random.
void keep_step(struct crowd *crowd, double bytes, double load);

// ---- Families -------------------------------------------------------------------------------------------------------

struct family {
    const char *name;
    bool leaks; // some site of it grows for good
    void (*run)(void);
    double least_s, most_s;           // duration; 0: half an hour to fifty
    unsigned least_steps, most_steps; // 0: 120 to 400
    bool silent;                      // without the background
    bool tidy;                        // an ordinary exit frees everything, at every seed
};
extern const struct family LEAKS[], GROWTHS[], BOUNDED[], CYCLES[], QUIET[]; // each ends with a NULL name

#endif
