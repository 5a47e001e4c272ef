// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "budget.h"

#include "image.h"
#include "rewrite.h"

enum {
    ROW_EXACT = 24, // bytes of one stack in a snapshot, before any was written
    ROW_SAMPLED = 56,
    MANY_ROWS = 64,
    ROOM_BESIDE = 4096,    // for the records beside a snapshot
    MOST_SNAPSHOTS = 8192, // more make a capture slow to open; rewriting leaves half of them
};
static const uint64_t FIRST_PATIENCE_NS = 60 * NS_PER_S, LAST_PATIENCE_NS = 3600 * NS_PER_S;

static uint32_t stacks_told(const struct image *image) {
    uint64_t ids = min_u64(load_relaxed(&books_live(&image->books)->next_id), image->books.max_ids);
    uint64_t gone = HT_FIRST_STACK_ID + (uint64_t)image->weights.folded_count;
    return ids > gone ? (uint32_t)(ids - gone) : 0;
}

static uint64_t snapshot_bytes(const struct image *image) {
    uint64_t guess = image->books.mode == HT_MODE_EXACT ? ROW_EXACT : ROW_SAMPLED;
    uint64_t row = image->budget.row_bytes ? image->budget.row_bytes : guess;
    return stacks_told(image) * row + ROOM_BESIDE;
}

// Numbers grow, slowly: a quarter more than the last large snapshot took for a row.
void budget_take(struct budget *b, uint64_t rows, uint64_t bytes) {
    b->in_file++;
    if (rows >= MANY_ROWS) b->row_bytes = bytes / rows * 5 / 4 + 1;
}

// One more snapshot, and the last word on every stack.
static bool fits(const struct image *image) {
    return image->writer.bytes + 2 * snapshot_bytes(image) <= image->writer.budget;
}

bool budget_has_room_for(const struct image *image, uint64_t bytes) {
    return !image->writer.budget || image->writer.bytes + snapshot_bytes(image) + bytes <= image->writer.budget;
}

static void keep_alive(void *data) {
    struct image *image = data;
    store_release(&image->books.control->heartbeat_ns, moment_now().boottime_ns);
}

static const char *rewrite_once(struct image *image, uint64_t *ret_beside_bytes) {
    struct rewrite rewrite = {.writer = &image->writer,
                              .weights = &image->weights,
                              .max_id = image->books.max_ids - 1,
                              .target_bytes = image->writer.budget / 2,
                              .most_snapshots = MOST_SNAPSHOTS / 2,
                              .alive = keep_alive,
                              .data = image};
    const char *why = rewrite_file(&rewrite);
    if (!why) image->budget.in_file = rewrite.kept;
    *ret_beside_bytes = rewrite.beside_bytes;
    return why;
}

// The stacks themselves do not fit, when they alone take a quarter of the budget: their counters take as much again in every
// few snapshots. The lightest of them become one, so many that the others take an eighth.
static bool fold_some(struct image *image, uint64_t beside_bytes) {
    uint64_t budget = image->writer.budget, stacks = stacks_told(image), heaviest = 0;
    if (beside_bytes <= budget / 4 || stacks < 2) return false;
    uint64_t left = stacks * (budget / 8) / beside_bytes;
    if (!weights_fold(&image->weights, (uint32_t)(stacks - left), &heaviest)) return false;
    image_note(image, NOTE_WARNING,
               "the stacks alone take more than the budget has for them: %u, none of which ever held more than %lu "
               "bytes, are shown as one",
               image->weights.folded_count, (unsigned long)heaviest);
    return true;
}

static const char *shorten(struct image *image) {
    uint64_t beside_bytes;
    const char *why = rewrite_once(image, &beside_bytes);
    return fold_some(image, beside_bytes) ? rewrite_once(image, &beside_bytes) : why;
}

// Rewriting is worth it when it makes room for a long time. Where it does not, the next try waits, longer each time.
static void be_patient(struct image *image, uint64_t now, bool worth_it) {
    struct budget *b = &image->budget;
    b->patience_ns = worth_it ? 0 : min_u64(max_u64(2 * b->patience_ns, FIRST_PATIENCE_NS), LAST_PATIENCE_NS);
    b->next_try_ns = now + b->patience_ns;
}

bool budget_has_room(struct image *image, uint64_t now) {
    struct budget *b = &image->budget;
    struct writer *writer = &image->writer;
    bool full = !fits(image);
    if (!writer->budget || (!full && b->in_file < MOST_SNAPSHOTS)) return true;
    if (now < b->next_try_ns || !writer_settle(writer)) return !full;
    const char *why = shorten(image);
    be_patient(image, now, !why && writer->bytes <= writer->budget / 4 * 3);
    full = !fits(image);
    if (full && !b->noted) {
        b->noted = true;
        image_note(image, NOTE_WARNING, "the budget of %lu bytes is used up (%s): snapshots are left out",
                   (unsigned long)writer->budget, why ? why : "the stacks themselves take most of it");
    }
    return !full;
}
