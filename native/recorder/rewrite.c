// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "rewrite.h"

#include "encode.h"
#include "survey.h"

#include <stdlib.h>
#include <string.h>

enum { NEWEST_PART = 4, MOMENTS_PART = 4 }; // of the target are for what stays in full, and for jumps

// ---- The state that goes from snapshot to snapshot ------------------------------------------------------------------

struct replay {
    const struct survey *survey;
    struct choice choice;
    int columns;
    uint64_t *values;       // by place: `columns` of them
    uint64_t *dirty[2];     // bit by id, of light stacks and of heavy ones: changed since it was last written
    uint32_t index;         // of the snapshot at hand
    uint32_t thinned;       // snapshots since the last that was kept
    uint64_t low, high;     // in use at these
    uint16_t flags;         // of these, that must not be lost
    struct rows rows, kept; // as read, as written
    struct buf payload;
    const struct weights *weights;
    uint64_t folded_before[ROW_COLUMNS]; // of HT_ID_FOLDED, as read
    struct stack_batch stacks;
};

static bool replay_init(struct replay *r, const struct survey *survey, const struct weights *weights,
                        struct choice choice) {
    size_t words = survey->places.max_id / 64 + 1;
    *r = (struct replay){.survey = survey, .weights = weights, .choice = choice, .low = UINT64_MAX};
    r->values = calloc((survey->places.count + 1ul) * ROW_COLUMNS, sizeof *r->values);
    for (int i = 0; i < 2; i++) r->dirty[i] = calloc(words, sizeof *r->dirty[i]);
    return r->values && r->dirty[0] && r->dirty[1];
}

static void replay_deinit(struct replay *r) {
    free(r->values);
    free(r->dirty[0]);
    free(r->dirty[1]);
    rows_deinit(&r->rows);
    rows_deinit(&r->kept);
    buf_deinit(&r->payload);
    stack_batch_deinit(&r->stacks);
}

// The difference goes to the one that stands for all that are folded.
static void add_to_folded(struct replay *r, const uint64_t *before, const uint64_t *now) {
    uint64_t *sum = r->values + (size_t)place_of(&r->survey->places, HT_ID_FOLDED) * ROW_COLUMNS;
    for (int c = 0; c < r->columns; c++) {
        if (c != ROW_ALLOC_VARIANCE && c != ROW_IN_USE_VARIANCE) {
            sum[c] += now[c] - before[c];
            continue;
        }
        double variance[3];
        memcpy(&variance[0], &sum[c], sizeof *variance);
        memcpy(&variance[1], &now[c], sizeof *variance);
        memcpy(&variance[2], &before[c], sizeof *variance);
        double changed = variance[0] + (variance[1] - variance[2]);
        if (changed < 0) changed = 0;
        memcpy(&sum[c], &changed, sizeof changed);
    }
    r->dirty[true][0] |= 1ull << HT_ID_FOLDED;
}

static void take_row(struct replay *r, uint32_t id, const uint64_t *row) {
    uint32_t place = place_of(&r->survey->places, id);
    uint64_t *values = r->values + (size_t)place * ROW_COLUMNS;
    if (r->weights->folded_count && (id == HT_ID_FOLDED || is_folded(r->weights, id))) {
        uint64_t *before = id == HT_ID_FOLDED ? r->folded_before : values;
        add_to_folded(r, before, row);
        memcpy(before, row, (size_t)r->columns * sizeof *before);
        return;
    }
    r->dirty[r->survey->heavy[place]][id / 64] |= 1ull << id % 64;
    memcpy(values, row, (size_t)r->columns * sizeof *values);
}

static void take_rows(struct replay *r) {
    const uint32_t *ids = rows_ids(&r->rows);
    r->columns = r->rows.columns;
    for (size_t i = 0; i < r->rows.count; i++) {
        uint64_t row[ROW_COLUMNS];
        for (int c = 0; c < r->columns; c++) row[c] = rows_column(&r->rows, c)[i];
        take_row(r, ids[i], row);
    }
}

// What changed, of heavy stacks or of all.
static void put_rows(struct replay *r, bool whole) {
    rows_clear(&r->kept, r->columns);
    for (uint32_t word = 0; word <= r->survey->places.max_id / 64; word++) {
        uint64_t bits = r->dirty[true][word] | (whole ? r->dirty[false][word] : 0);
        r->dirty[true][word] = 0;
        if (whole) r->dirty[false][word] = 0;
        for (; bits; bits &= bits - 1) {
            uint32_t id = word * 64 + (uint32_t)__builtin_ctzll(bits);
            rows_add(&r->kept, id, r->values + (size_t)place_of(&r->survey->places, id) * ROW_COLUMNS);
        }
    }
}

// ---- Record by record -----------------------------------------------------------------------------------------------

static bool is_kept(const struct replay *r, uint32_t index) { return r->survey->rank[index] > r->choice.gone; }

static bool is_whole(const struct replay *r, uint32_t index) {
    return r->survey->rank[index] > r->choice.gone_for_light && !r->survey->taken[index].partial;
}

static const char *take_snapshot(struct replay *r, const struct walk *w, struct writer *out) {
    struct ht_rec_packed head;
    if (!rows_decode(&r->rows, walk_payload(w), w->head.length, r->survey->places.max_id, &head))
        return "it is damaged";
    take_rows(r);
    r->low = min_u64(r->low, head.low_bytes);
    r->high = max_u64(r->high, head.high_bytes);
    r->thinned += head.thinned;
    r->flags |= head.snapshot.flags & (HT_SNAPF_KILLED | HT_SNAPF_GAP);
    uint32_t index = r->index++;
    if (!is_kept(r, index)) {
        r->thinned++;
        return NULL;
    }
    bool whole = is_whole(r, index), thinned = !whole || r->thinned;
    put_rows(r, whole);
    head.snapshot.flags =
        (uint16_t)((head.snapshot.flags & ~HT_SNAPF_PARTIAL) | r->flags | (whole ? 0 : HT_SNAPF_PARTIAL));
    head.thinned = r->thinned;
    head.low_bytes = r->low;
    head.high_bytes = r->high;
    r->thinned = r->flags = 0;
    r->low = UINT64_MAX;
    r->high = 0;
    if (!rows_encode(&r->kept, head, thinned, &r->payload)) return "no memory";
    return writer_append(out, HT_REC_PACKED, &r->payload) ? NULL : strerror(out->error);
}

static int by_number(const void *key, const void *element) {
    uint32_t number = *(const uint32_t *)key, other = ((const struct past *)element)->number;
    return (number > other) - (number < other);
}

// What stands beside a snapshot goes with it.
static bool goes_with_snapshot(const struct replay *r, const struct walk *w) {
    uint32_t number = walk_beside(w);
    const struct past *found =
        number ? bsearch(&number, r->survey->past, r->survey->count, sizeof *found, by_number) : NULL;
    return found && !is_kept(r, (uint32_t)(found - r->survey->past));
}

// The stacks that are not folded.
static const char *copy_stacks(struct replay *r, const struct walk *w, struct writer *out) {
    stack_batch_clear(&r->stacks);
    if (!stack_batch_add_unfolded(&r->stacks, walk_payload(w), w->head.length, r->weights->folded,
                                  r->survey->places.max_id))
        return "it is damaged";
    if (!r->stacks.count) return NULL;
    const struct buf *payload = stack_batch_finish(&r->stacks);
    if (!payload) return "no memory";
    return writer_append(out, HT_REC_STACKS, payload) ? NULL : strerror(out->error);
}

static const char *copy_record(struct replay *r, const struct walk *w, struct writer *out) {
    if (goes_with_snapshot(r, w)) return NULL;
    if (w->head.type == HT_REC_STACKS && r->weights->folded_count) return copy_stacks(r, w, out);
    buf_clear(&r->payload);
    buf_put(&r->payload, walk_payload(w), w->head.length);
    return writer_append(out, w->head.type, &r->payload) ? NULL : strerror(out->error);
}

static const char *write_all(const struct rewrite *rewrite, struct replay *r, struct walk *w, struct writer *out) {
    walk_rewind(w);
    while (walk_next(w)) {
        const char *why = w->head.type == HT_REC_PACKED ? take_snapshot(r, w, out) : copy_record(r, w, out);
        if (why) return why;
        rewrite->alive(rewrite->data);
    }
    return w->problem;
}

// ---- All of it ------------------------------------------------------------------------------------------------------

// So that no more snapshots are left than are wanted, whatever they take.
static void limit_count(const struct survey *s, uint32_t most, struct choice *choice) {
    uint32_t stay = s->count - s->savings.ranks;
    uint32_t gone = s->count > most ? s->count - max_u64(most, stay) : 0;
    if (choice->gone < gone) choice->gone = gone;
    if (choice->gone_for_light < gone) choice->gone_for_light = gone;
}

static const char *choose(const struct rewrite *rewrite, struct walk *w, struct survey *survey, struct choice *ret) {
    struct survey_request request = {.weights = rewrite->weights,
                                     .max_id = rewrite->max_id,
                                     .newest_bytes = rewrite->target_bytes / NEWEST_PART,
                                     .newest_most = rewrite->most_snapshots / NEWEST_PART,
                                     .moments_bytes = rewrite->target_bytes / MOMENTS_PART};
    const char *why = survey_init(survey, w, &request);
    if (!why && !thin_choose(&survey->savings, rewrite->target_bytes, ret)) {
        survey_deinit(survey);
        request.moments_bytes = 0; // they take too much themselves
        request.newest_bytes = 0;
        why = survey_init(survey, w, &request);
        if (!why) thin_choose(&survey->savings, rewrite->target_bytes, ret);
    }
    if (!why) limit_count(survey, rewrite->most_snapshots, ret);
    return why;
}

static const char *write_file(const struct rewrite *rewrite, struct walk *w, const struct survey *survey,
                              struct choice choice) {
    struct replay replay;
    struct writer out;
    if (!replay_init(&replay, survey, rewrite->weights, choice)) {
        replay_deinit(&replay);
        return "no memory";
    }
    const char *why = writer_begin_beside(rewrite->writer, &out) ? NULL : strerror(out.error);
    if (!why) why = write_all(rewrite, &replay, w, &out);
    if (!why && out.bytes >= rewrite->writer->bytes) why = "what it holds takes all of it";
    if (!why && !writer_take_place(rewrite->writer, &out)) why = strerror(out.error);
    if (why) writer_abandon(&out);
    replay_deinit(&replay);
    return why;
}

const char *rewrite_file(struct rewrite *rewrite) {
    struct walk walk;
    struct survey survey;
    struct choice choice;
    walk_init(&walk, rewrite->writer->fd, rewrite->writer->bytes);
    const char *why = choose(rewrite, &walk, &survey, &choice);
    rewrite->beside_bytes = survey.beside_bytes;
    if (!why) why = write_file(rewrite, &walk, &survey, choice);
    for (uint32_t i = 0; !why && i < survey.count; i++) rewrite->kept += survey.rank[i] > choice.gone;
    survey_deinit(&survey);
    walk_deinit(&walk);
    return why;
}
