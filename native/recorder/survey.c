// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LIGHT_PERCENT = 1,     // of the most in use: light stacks never held more, all together
    JUMP_PART = 64,        // of all movement that a stack ever made: a change that large, at once, is kept
    JUMP_LEAST = 64 << 10, // bytes
    LEAST_JUMPS = 2,
    MOST_JUMPS = 48,
};
static const char NO_MEMORY[] = "no memory";

// ---- The records of a file ------------------------------------------------------------------------------------------

void walk_init(struct walk *w, int fd, uint64_t bytes) {
    *w = (struct walk){.fd = fd, .at = sizeof(struct ht_file_header), .end = bytes};
}

void walk_rewind(struct walk *w) {
    w->at = sizeof(struct ht_file_header);
    w->problem = NULL;
}

void walk_deinit(struct walk *w) {
    buf_deinit(&w->record);
    *w = (struct walk){.fd = -1};
}

static bool read_at(struct walk *w, size_t bytes) {
    uint8_t *place = buf_grow(&w->record, bytes);
    for (size_t done = 0; place && done < bytes;) {
        ssize_t n = pread(w->fd, place + done, bytes - done, (off_t)(w->at + w->record.len - bytes + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return place;
}

static bool fail(struct walk *w, const char *problem) {
    w->problem = problem;
    return false;
}

// Ours, but it lies where others may write.
bool walk_next(struct walk *w) {
    buf_clear(&w->record);
    if (w->at >= w->end) {
        w->checked = true;
        return false;
    }
    if (w->end - w->at < sizeof w->head || !read_at(w, sizeof w->head)) return fail(w, "it cannot be read");
    memcpy(&w->head, w->record.data, sizeof w->head);
    size_t padded = (w->head.length + 7ull) & ~7ull;
    if (w->head.mark != HT_RECORD_MARK || padded > w->end - w->at - sizeof w->head) return fail(w, "it is damaged");
    if (!read_at(w, padded)) return fail(w, "it cannot be read");
    if (!w->checked && crc32_of(0, w->record.data + 8, 8ul + w->head.length) != w->head.crc)
        return fail(w, "it is damaged");
    w->at += sizeof w->head + padded;
    return true;
}

uint32_t walk_beside(const struct walk *w) {
    uint32_t snapshot = 0;
    bool is_beside = w->head.type == HT_REC_MEMORY || w->head.type == HT_REC_AGENT || w->head.type == HT_REC_AGES;
    if (is_beside && w->head.length >= sizeof snapshot) memcpy(&snapshot, walk_payload(w), sizeof snapshot);
    return snapshot;
}

// ---- First look: which snapshots and which ids there are ------------------------------------------------------------

static bool places_init(struct places *p, uint32_t max_id) {
    *p = (struct places){.max_id = max_id};
    p->bits = calloc(max_id / 64 + 1, sizeof *p->bits);
    p->before = calloc(max_id / 64 + 1, sizeof *p->before);
    return p->bits && p->before;
}

static void places_count(struct places *p) {
    for (uint32_t word = 0; word <= p->max_id / 64; word++) {
        p->before[word] = p->count;
        p->count += (uint32_t)__builtin_popcountll(p->bits[word]);
    }
}

static bool make_room(struct survey *s) {
    if (s->count & (s->count - 1)) return true; // there is room for the next power of two
    size_t room = s->count ? 2ul * s->count : 1;
    void *past = realloc(s->past, room * sizeof *s->past), *taken = realloc(s->taken, room * sizeof *s->taken);
    if (past) s->past = past;
    if (taken) s->taken = taken;
    return past && taken;
}

static bool add_snapshot(struct survey *s, const struct walk *w, const struct rows *rows,
                         const struct ht_rec_packed *head) {
    if (!make_room(s)) return false;
    uint64_t bytes = w->record.len, of_rows = w->head.length - sizeof *head;
    uint32_t row_bytes = rows->count ? (uint32_t)(of_rows / rows->count) : 0;
    s->past[s->count] = (struct past){.boottime_ns = head->snapshot.boottime_ns, .number = head->snapshot.number};
    s->taken[s->count] = (struct taken){.bytes = bytes,
                                        .head_bytes = bytes - rows->count * (uint64_t)row_bytes,
                                        .row_bytes = row_bytes,
                                        .partial = head->snapshot.flags & HT_SNAPF_PARTIAL};
    s->count++;
    const uint32_t *ids = rows_ids(rows);
    for (size_t i = 0; i < rows->count; i++) s->places.bits[ids[i] / 64] |= 1ull << ids[i] % 64;
    return true;
}

static const char *look(struct survey *s, struct walk *w, const struct weights *weights, struct rows *rows) {
    struct ht_rec_packed head;
    if (weights->folded_count) s->places.bits[0] |= 1ull << HT_ID_FOLDED;
    while (walk_next(w)) {
        if (w->head.type == HT_REC_PACKED) {
            if (!rows_decode_ids(rows, walk_payload(w), w->head.length, s->places.max_id, &head))
                return "it is damaged";
            if (!add_snapshot(s, w, rows, &head)) return NO_MEMORY;
        } else if (s->count && walk_beside(w) == s->past[s->count - 1].number) {
            s->taken[s->count - 1].head_bytes += w->record.len;
            s->taken[s->count - 1].bytes += w->record.len;
        }
    }
    places_count(&s->places);
    s->beside_bytes = w->end;
    for (uint32_t i = 0; i < s->count; i++) s->beside_bytes -= s->taken[i].bytes;
    return w->problem;
}

// ---- Heavy and light ------------------------------------------------------------------------------------------------

struct peak {
    uint64_t bytes;
    uint32_t place;
};

static int by_bytes(const void *a, const void *b) {
    const struct peak *x = a, *y = b;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

// The lightest, as long as all that they ever held is, together, a small part of what was in use at most.
static const char *weigh(struct survey *s, const struct weights *weights) {
    s->heavy = calloc(s->places.count + 1ul, sizeof *s->heavy);
    struct peak *peaks = calloc(s->places.count + 1ul, sizeof *peaks);
    if (!s->heavy || !peaks) {
        free(peaks);
        return NO_MEMORY;
    }
    for (int account = 0; account < HT_ACCOUNTS; account++) {
        uint32_t n = 0;
        for (uint32_t id = 0; id <= s->places.max_id; id++) {
            if (!(s->places.bits[id / 64] >> id % 64 & 1) || (int)account_of(weights, id) != account) continue;
            const struct weight *weight = weight_of(weights, id);
            peaks[n++] = (struct peak){weight ? weight->peak : 0, place_of(&s->places, id)};
        }
        qsort(peaks, n, sizeof *peaks, by_bytes);
        uint64_t light = 0, most = weights->accounts[account].peak / 100 * LIGHT_PERCENT;
        for (uint32_t i = 0; i < n; i++) s->heavy[peaks[i].place] = (light += peaks[i].bytes) > most;
    }
    if (weights->folded_count) s->heavy[place_of(&s->places, HT_ID_FOLDED)] = true;
    free(peaks);
    return NULL;
}

// ---- Second look: jumps, and what goes with each snapshot -----------------------------------------------------------

struct jump {
    uint64_t bytes;
    uint32_t snapshot;
};

struct history { // of every stack, up to the snapshot at hand
    uint64_t *in_use;
    uint32_t *last; // number of its last row's snapshot, from 1
};

static bool history_init(struct history *h, uint32_t count) {
    h->in_use = calloc(count + 1ul, sizeof *h->in_use);
    h->last = calloc(count + 1ul, sizeof *h->last);
    return h->in_use && h->last;
}

static void history_deinit(struct history *h) {
    free(h->in_use);
    free(h->last);
}

// The largest, each of another snapshot.
struct jumps {
    struct jump largest[MOST_JUMPS];
    uint32_t most; // how many of them there is room for
};

static void note_jump(struct jumps *jumps, uint64_t bytes, uint32_t snapshot) {
    uint32_t least = 0;
    for (uint32_t i = 1; i < jumps->most; i++)
        if (jumps->largest[i].bytes < jumps->largest[least].bytes) least = i;
    if (bytes > jumps->largest[least].bytes) jumps->largest[least] = (struct jump){bytes, snapshot};
}

// Of the two sides of a jump one holds all that changed in a long time, the other little.
static uint32_t jumps_that_fit(const struct survey *s, uint64_t bytes) {
    uint64_t rows = 0, of_rows = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint64_t without_heads = s->taken[i].bytes - s->taken[i].head_bytes;
        of_rows += without_heads;
        rows += s->taken[i].row_bytes ? without_heads / s->taken[i].row_bytes : 0;
    }
    uint64_t whole = rows ? s->places.count * of_rows / rows + 1 : 1, most = bytes / whole;
    return most < LEAST_JUMPS ? LEAST_JUMPS : (uint32_t)min_u64(most, MOST_JUMPS);
}

// How much of a change is a jump: a good part of what the stack ever moved, and far beyond what it moves in such a time.
static uint64_t jump_of(const struct weight *weight, uint64_t before, uint64_t now, double part_of_time) {
    uint64_t change = now > before ? now - before : before - now;
    double expected = weight ? weight->variation * part_of_time : 0;
    if (!weight || change < JUMP_LEAST || (double)change < weight->variation / JUMP_PART) return 0;
    return (double)change > 8 * expected ? change : 0;
}

static void find_jumps(const struct survey *s, const struct weights *weights, const struct rows *rows, uint32_t index,
                       struct history *h, struct jumps *jumps) {
    const uint32_t *ids = rows_ids(rows);
    const uint64_t *in_use = rows_column(rows, ROW_IN_USE_BYTES);
    double whole = (double)(s->past[s->count - 1].boottime_ns - s->past[0].boottime_ns) + 1;
    double gap = index ? (double)(s->past[index].boottime_ns - s->past[index - 1].boottime_ns) : whole;
    uint64_t largest = 0;
    for (size_t i = 0; i < rows->count; i++) {
        uint32_t place = place_of(&s->places, ids[i]);
        uint64_t now = (int64_t)in_use[i] < 0 ? 0 : in_use[i];
        if (s->heavy[place])
            largest = max_u64(largest, jump_of(weight_of(weights, ids[i]), h->in_use[place], now, gap / whole));
        h->in_use[place] = now;
    }
    if (index && largest) note_jump(jumps, largest, index);
}

// Both sides of each jump, the moment with the most in use, and those that were asked for or are of the end, stay.
static const char *keep_moments(struct survey *s, struct walk *w, const struct survey_request *request,
                                struct rows *rows) {
    struct jumps jumps = {.most = jumps_that_fit(s, request->moments_bytes)};
    struct history h;
    struct ht_rec_packed head;
    uint64_t most = 0;
    uint32_t index = 0, peak = 0;
    bool good = history_init(&h, s->places.count);
    walk_rewind(w);
    while (good && walk_next(w)) {
        if (w->head.type != HT_REC_PACKED) continue;
        good = rows_decode(rows, walk_payload(w), w->head.length, s->places.max_id, &head);
        if (!good) break;
        find_jumps(s, request->weights, rows, index, &h, &jumps);
        uint16_t kind = head.snapshot.kind;
        s->past[index].stays = kind == HT_SNAP_SIGNAL || kind == HT_SNAP_SHUTDOWN || kind == HT_SNAP_EXIT;
        if (head.in_use_bytes[HT_ACCOUNT_BLOCKS] > most) most = head.in_use_bytes[HT_ACCOUNT_BLOCKS], peak = index;
        index++;
    }
    history_deinit(&h);
    if (!good || w->problem) return good ? w->problem : NO_MEMORY;
    for (uint32_t i = 0; i < jumps.most; i++) {
        uint32_t after = jumps.largest[i].snapshot; // 0: none
        if (after) s->past[after].stays = s->past[after - 1].stays = true;
    }
    if (s->count) s->past[peak].stays = true;
    return NULL;
}

// ---- Third look: what is saved --------------------------------------------------------------------------------------

// For each snapshot so far that no later one outlives, its rank: ranks fall along the stack, so the highest rank from a
// snapshot on is found by halving.
struct skyline {
    uint32_t *snapshot, *rank, count;
};

static void skyline_add(struct skyline *line, uint32_t snapshot, uint32_t rank) {
    while (line->count && line->rank[line->count - 1] <= rank) line->count--;
    line->snapshot[line->count] = snapshot;
    line->rank[line->count++] = rank;
}

static uint32_t skyline_highest(const struct skyline *line, uint32_t from) {
    uint32_t low = 0, high = line->count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (line->snapshot[middle] < from)
            low = middle + 1;
        else
            high = middle;
    }
    return line->rank[low];
}

// A row goes when every snapshot from its own up to that of the stack's next row is gone.
static void count_rows(struct survey *s, const struct rows *rows, uint32_t index, struct history *h,
                       const struct skyline lines[2]) {
    const uint32_t *ids = rows_ids(rows);
    for (size_t i = 0; i < rows->count; i++) {
        uint32_t place = place_of(&s->places, ids[i]), last = h->last[place];
        h->last[place] = index + 1;
        uint32_t goes = last ? skyline_highest(&lines[s->heavy[place]], last - 1) : THIN_NEVER;
        if (goes == THIN_NEVER) continue;
        s->savings.all[goes] += s->taken[last - 1].row_bytes;
        if (!s->heavy[place]) s->savings.light[goes] += s->taken[last - 1].row_bytes;
    }
}

static bool skyline_init(struct skyline *line, uint32_t count) {
    *line = (struct skyline){calloc(count + 1ul, 4), calloc(count + 1ul, 4), 0};
    return line->snapshot && line->rank;
}

static const char *count_savings(struct survey *s, struct walk *w, struct rows *rows) {
    struct history h = {0};
    struct skyline lines[2] = {0}; // of light stacks, of heavy ones
    struct ht_rec_packed head;
    bool good = history_init(&h, s->places.count);
    for (int i = 0; i < 2; i++) good = skyline_init(&lines[i], s->count) && good;
    uint32_t index = 0;
    walk_rewind(w);
    while (good && walk_next(w)) {
        if (w->head.type != HT_REC_PACKED) continue;
        good = rows_decode_ids(rows, walk_payload(w), w->head.length, s->places.max_id, &head);
        if (good) count_rows(s, rows, index, &h, lines);
        skyline_add(&lines[true], index, s->rank[index]);
        skyline_add(&lines[false], index, s->taken[index].partial ? 0 : s->rank[index]);
        if (s->rank[index] != THIN_NEVER) s->savings.all[s->rank[index]] += s->taken[index].head_bytes;
        index++;
    }
    history_deinit(&h);
    for (int i = 0; i < 2; i++) free(lines[i].snapshot), free(lines[i].rank);
    return good ? w->problem : NO_MEMORY;
}

// ---- All of it ------------------------------------------------------------------------------------------------------

static void keep_newest(struct survey *s, uint64_t bytes, uint32_t most) {
    for (uint32_t i = s->count; i-- > 0 && most-- && bytes >= s->taken[i].bytes; bytes -= s->taken[i].bytes)
        s->past[i].stays = true;
}

static const char *rank_all(struct survey *s, uint64_t file_bytes) {
    s->rank = calloc(s->count + 1ul, sizeof *s->rank);
    int64_t ranks = s->rank ? thin_order(s->past, s->count, s->rank) : -1;
    if (ranks < 0) return NO_MEMORY;
    s->savings = (struct savings){.ranks = (uint32_t)ranks, .total = file_bytes};
    s->savings.all = calloc((size_t)ranks + 1, sizeof *s->savings.all);
    s->savings.light = calloc((size_t)ranks + 1, sizeof *s->savings.light);
    return s->savings.all && s->savings.light ? NULL : NO_MEMORY;
}

const char *survey_init(struct survey *s, struct walk *w, const struct survey_request *request) {
    *s = (struct survey){0};
    struct rows rows = {0};
    walk_rewind(w);
    const char *why = places_init(&s->places, request->max_id) ? look(s, w, request->weights, &rows) : NO_MEMORY;
    if (!why) why = weigh(s, request->weights);
    if (!why && request->moments_bytes) why = keep_moments(s, w, request, &rows);
    if (!why) keep_newest(s, request->newest_bytes, request->newest_most);
    if (!why) why = rank_all(s, w->end);
    if (!why) why = count_savings(s, w, &rows);
    rows_deinit(&rows);
    return why;
}

void survey_deinit(struct survey *s) {
    free(s->places.bits);
    free(s->places.before);
    free(s->heavy);
    free(s->past);
    free(s->taken);
    free(s->rank);
    free(s->savings.all);
    free(s->savings.light);
    *s = (struct survey){0};
}
