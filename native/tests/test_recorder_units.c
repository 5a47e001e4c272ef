// SPDX-License-Identifier: Apache-2.0
// The recorder's parts that need no process: numbers, names, checksums, the bytes of snapshots and stacks, the writer.
// clang-format off
// links: recorder/util.c recorder/clock.c recorder/encode.c recorder/columns.c recorder/rows.c recorder/tally.c recorder/books_reader.c recorder/writer.c sys.c
// clang-format on
#define _GNU_SOURCE
#include "../recorder/columns.h"
#include "../recorder/encode.h"
#include "../recorder/rows.h"
#include "../recorder/writer.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_numbers(void) {
    uint64_t value = 7;
    assert(parse_size("1000", &value) && value == 1000);
    assert(parse_size("512KiB", &value) && value == 512 << 10);
    assert(parse_size("1.5MiB", &value) && value == 3 << 19);
    assert(parse_size("2GB", &value) && value == 2000000000);
    assert(parse_duration("500ms", &value) && value == NS_PER_S / 2);
    assert(parse_duration("2h", &value) && value == 7200 * NS_PER_S);
    assert(parse_duration("3", &value) && value == 3 * NS_PER_S);
    const char *bad[] = {"", "-1", "x", "1x", "KiB", " 1", "1 KiB", "nan", "1e99", "99999999999TiB"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        value = 7;
        assert(!parse_size(bad[i], &value) && !parse_duration(bad[i], &value) && value == 7);
    }
}

static void test_checksum(void) {
    assert(crc32_of(0, "123456789", 9) == 0xcbf43926); // the check value of zlib's CRC-32
    assert(crc32_of(crc32_of(0, "1234", 4), "56789", 5) == 0xcbf43926);
    assert(crc32_of(0, "", 0) == 0);
}

static void expect_name(struct capture_name name, unsigned attempt, const char *expected) {
    char text[64];
    bool good = capture_name_make(&name, attempt, text, sizeof text);
    assert(expected ? good && !strcmp(text, expected) : !good);
}

static void test_names(void) {
    struct capture_name both = {.pattern = "{name}.{pid}.tide", .program = "a/b\n", .pid = 42, .plain = true};
    expect_name(both, 0, "a_b_.42.tide");
    expect_name(both, 1, "a_b_.42.1.tide");
    struct capture_name plain = {.pattern = "x.tide", .program = "p", .pid = 42, .plain = true};
    expect_name(plain, 0, "x.tide");
    expect_name(plain, 1, "x.42.tide");
    expect_name(plain, 2, "x.42.1.tide");
    plain.plain = false;
    expect_name(plain, 0, "x.42.tide");
    struct capture_name bare = {.pattern = "out", .program = "p", .pid = 42};
    expect_name(bare, 0, "out.42");
    expect_name((struct capture_name){.pattern = "{name}", .program = "", .pid = 1, .plain = true}, 0, NULL);
    char longest[80];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    expect_name((struct capture_name){.pattern = longest, .program = "", .pid = 1, .plain = true}, 0, NULL);
}

static uint64_t get_varint(const uint8_t **p) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        value |= (uint64_t)(**p & 0x7f) << shift;
        if (!(*(*p)++ & 0x80)) return value;
    }
}

static int64_t unzigzag(uint64_t v) { return (int64_t)(v >> 1) ^ -(int64_t)(v & 1); }

static void test_stacks(void) {
    // Roots last: the second shares two frames with the first, the third none; addresses from all over.
    static const uint64_t stacks[3][4] = {{1, 2, 30, 40}, {~0ull, 30, 40}, {1ull << 63, 5}};
    static const uint32_t depths[3] = {4, 3, 2}, ids[3] = {900, 16, 1000}, keeps[3] = {0, 2, 0};
    struct stack_batch batch = {0};
    for (int i = 0; i < 3; i++) stack_batch_add(&batch, ids[i], (uint32_t)i, stacks[i], depths[i]);
    const struct buf *payload = stack_batch_finish(&batch);
    assert(payload && batch.count == 3);
    const uint8_t *p = payload->data + sizeof(struct ht_rec_stacks);
    int64_t id = 0;
    for (uint32_t i = 0; i < 3; i++) {
        id += unzigzag(get_varint(&p));
        assert(id == ids[i] && get_varint(&p) == i);
        uint32_t keep = (uint32_t)get_varint(&p), n = (uint32_t)get_varint(&p);
        assert(keep == keeps[i] && keep + n == depths[i]);
        uint64_t pc = keep ? stacks[i][depths[i] - keep] : 0;
        for (uint32_t k = n; k-- > 0;) assert((pc += (uint64_t)unzigzag(get_varint(&p))) == stacks[i][k]);
    }
    assert(p == payload->data + payload->len);
    stack_batch_clear(&batch);
    assert(!stack_batch_finish(&batch));
    stack_batch_deinit(&batch);
}

static uint64_t random_word(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

// Numbers of every size come back, in about the bytes that they need; so do doubles.
static void test_columns(void) {
    enum { COUNT = 500 };
    static uint64_t values[COUNT], back[COUNT];
    uint64_t state = 88172645463325252u;
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (int i = 0; i < COUNT; i++) values[i] = bits ? random_word(&state) >> (64 - bits) : 0;
        values[bits] = random_word(&state); // one that does not fit
        struct buf out = {0};
        column_put(&out, values, COUNT);
        assert(out.len % 8 == 0 && out.len <= 8 + (bits + 7) / 8 * COUNT + 24);
        struct column_source source = {out.data, out.data + out.len}, cut = {out.data, out.data + out.len - 8};
        assert(column_get(&source, back, COUNT) && source.at == source.end && !memcmp(values, back, sizeof back));
        assert(!column_get(&cut, back, COUNT));
        buf_deinit(&out);
    }
    for (int rounded = 0; rounded < 2; rounded++)
        for (int zeros = 0; zeros < 2; zeros++) {
            struct buf out = {0};
            for (int i = 0; i < COUNT; i++) {
                double value = zeros && i % 100 ? 0 : 1e20 / (i + 1);
                memcpy(&values[i], &value, sizeof value);
            }
            column_put_doubles(&out, values, COUNT, rounded);
            struct column_source source = {out.data, out.data + out.len};
            assert(column_get_doubles(&source, back, COUNT) && source.at == source.end);
            for (int i = 0; i < COUNT; i++) {
                double was, is;
                memcpy(&was, &values[i], sizeof was);
                memcpy(&is, &back[i], sizeof is);
                assert(rounded ? is >= was * (1 - 1e-7) && is <= was * (1 + 1e-7) : is == was);
            }
            buf_deinit(&out);
        }
}

// Columns of each width, the sum of both phases, and nothing of what is clean.
static void test_snapshot(void) {
    struct books books = {.mode = HT_MODE_EXACT, .group_count = 2, .lane_count = 1, .run_bytes = 4096, .pool_pages = 8};
    struct tally tally;
    assert(tally_init(&tally, &books));
    for (int phase = 0; phase < PHASES; phase++) tally.groups[phase][1] = calloc(1, sizeof(struct group_totals));
    tally.groups[0][1]->ids[2].counts[0] = 200;
    tally.groups[1][1]->ids[2].counts[0] = 100;
    tally.groups[0][1]->ids[2].counts[1] = 1ull << 40;
    tally.groups[0][1]->ids[2].counts[3] = 1ull << 40;
    tally.groups[0][1]->dirty[0] = 1 << 2;
    struct rows rows = {0}, back = {0};
    struct buf payload = {0};
    struct ht_rec_packed head = {.snapshot = {.number = 5}};
    rows_take_dirty(&rows, &tally, NULL, PHASE_BOTH);
    assert(rows_encode(&rows, head, false, &payload));
    static const uint8_t columns[] = {1, 0, 0, 0, 0, 0, 0, 0, 130, 0, 0, 0, 0, 0, 0, 0, // ids
                                      2, 0, 0, 0, 0, 0, 0, 0, 44,  1, 0, 0, 0, 0, 0, 0, // 300
                                      2, 0, 0, 0, 0, 0, 0, 0, 44,  1, 0, 0, 0, 0, 0, 0, // all of it in use
                                      6, 0, 0, 0, 0, 0, 0, 0, 0,   0, 0, 0, 0, 1, 0, 0, // 2^40
                                      0, 0, 0, 0, 0, 0, 0, 0};                          // none of them in use
    memcpy(&head, payload.data, sizeof head);
    assert(head.snapshot.number == 5 && head.snapshot.columns == 5 && head.snapshot.count == 1);
    assert(payload.len == sizeof head + sizeof columns && !memcmp(payload.data + sizeof head, columns, sizeof columns));
    assert(rows_decode(&back, payload.data, payload.len, 255, &head) && back.count == 1 && *rows_ids(&back) == 130);
    assert(*rows_column(&back, ROW_ALLOC_BYTES) == 300 && *rows_column(&back, ROW_ALLOC_OBJECTS) == 1ull << 40);
    assert(!rows_decode(&back, payload.data, payload.len, 129, &head) &&
           !rows_decode(&back, payload.data, 103, 255, &head));
    tally_clean(&tally, PHASE_RUN);
    rows_take_dirty(&rows, &tally, NULL, PHASE_BOTH);
    assert(rows_encode(&rows, head, false, &payload) && payload.len == sizeof head + 5 * 8);
    assert(rows_decode(&back, payload.data, payload.len, 255, &head) && back.count == 0);
    tally.groups[0][0] = calloc(1, sizeof(struct group_totals));
    tally.groups[0][0]->dirty[0] = 1 << HT_ID_NONE | 1 << HT_ID_NO_STACK; // the first in damaged books alone
    rows_take_dirty(&rows, &tally, NULL, PHASE_RUN);
    assert(rows.count == 1 && *rows_ids(&rows) == HT_ID_NO_STACK);
    rows_deinit(&rows);
    rows_deinit(&back);
    buf_deinit(&payload);
    tally_deinit(&tally);
}

static void test_writer(void) {
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    struct writer writer;
    struct capture_name name = {.pattern = "unit.tide", .program = "p", .pid = 1, .plain = true};
    struct buf payload = {0};
    buf_put(&payload, "12345", 5);
    writer_init(&writer, dir, name, 0, 99);
    assert(writer_append(&writer, HT_REC_NOTE, &payload) && access("unit.tide", F_OK) != 0);
    assert(writer_settle(&writer) && !strcmp(writer.file, "unit.tide") && writer.bytes == 32 + 16 + 8);
    assert(writer_append(&writer, HT_REC_NOTE, &payload) && writer.bytes == 32 + 2 * 24);
    struct stat st;
    assert(stat("unit.tide", &st) == 0 && st.st_size == 32 + 2 * 24 && (st.st_mode & 0777) == 0600);
    writer_deinit(&writer);
    unlink("unit.tide");
    close(dir);
    buf_deinit(&payload);
}

int main(void) {
    test_numbers();
    test_checksum();
    test_names();
    test_stacks();
    test_columns();
    test_snapshot();
    test_writer();
    puts("ok");
    return 0;
}
