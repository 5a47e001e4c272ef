// SPDX-License-Identifier: Apache-2.0
// test_ledger.c: what lies where (recorder/maps.c), which pages are there (pages.c), what samples say (samples.c) and how old
// they are (ages.c).
// links: recorder/maps.c recorder/pages.c recorder/samples.c recorder/ages.c recorder/owners.c recorder/books_reader.c recorder/util.c recorder/clock.c sys.c
#define _GNU_SOURCE
#include "../recorder/ages.h"
#include "../recorder/maps.h"
#include "../recorder/owners.h"
#include "../recorder/pages.h"
#include "../recorder/samples.h"
#include "format.h"
#include "sys.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(what) ((what) ? (void)0 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #what), exit(1)))

// ---- Maps ---------------------------------------------------------------------------------------------------------------

static const char MAPS[] = "00400000-00410000 r-xp 00000000 fe:01 77 /bin/prog name\n"
                           "00410000-00411000 rw-p 00010000 fe:01 77 /bin/prog name\n"
                           "00411000-00419000 rw-p 00000000 00:00 0 \n"
                           "00500000-00510000 rw-p 00000000 00:00 0 [heap]\n"
                           "nonsense\n"
                           "00600000-00500000 rw-p 00000000 00:00 0 \n"
                           "10000000-10100000 r--s 00000000 fe:01 78 /var/cache/data\n"
                           "20000000-20001000 ---p 00000000 00:00 0 \n"
                           "20001000-20801000 rw-p 00000000 00:00 0 \n"
                           "24000000-24021000 rw-p 00000000 00:00 0 \n"
                           "24021000-28000000 ---p 00000000 00:00 0 \n"
                           "28000000-28021000 rw-p 00000000 00:00 0 \n"
                           "30001000-30003000 rw-p 00000000 00:00 0 \n"
                           "31000000-31100000 rw-s 00000000 00:05 9 /dev/shm/x\n"
                           "32000000-32100000 rw-s 00000000 00:05 10 /memfd:heaptide (deleted)\n"
                           "33000000-33010000 r-xp 00000000 fe:01 79 /lib/libheaptide.so\n"
                           "33010000-33020000 rw-p 00000000 00:00 0 \n"
                           "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\n"
                           "7ffc00030000-7ffc00032000 r-xp 00000000 00:00 0 [vdso]\n"
                           "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";

static void test_kinds(void) {
    static const uint32_t kinds[] = {EXTENT_CODE,  EXTENT_CODE,   EXTENT_CODE,  EXTENT_HEAP,  EXTENT_FILE,
                                     EXTENT_HEAP,  EXTENT_STACK,  EXTENT_HEAP,  EXTENT_HEAP,  EXTENT_HEAP,
                                     EXTENT_OTHER, EXTENT_SHARED, EXTENT_AGENT, EXTENT_AGENT, EXTENT_AGENT,
                                     EXTENT_STACK, EXTENT_CODE,   EXTENT_CODE};
    char text[sizeof MAPS];
    struct extents e = {0};
    memcpy(text, MAPS, sizeof text);
    maps_parse(text, &e);
    CHECK(e.count == sizeof kinds / sizeof *kinds);
    for (size_t i = 0; i < e.count; i++) CHECK(e.items[i].kind == kinds[i]);
    CHECK(e.items[3].is_break && e.items[5].guard && !e.items[6].guard);
    extents_deinit(&e);
}

// Ranges that lie inside, across two, at an end and outside.
static void test_owners(void) {
    char text[] = "1000-9000 rw-p 0 00:00 0 \na000-c000 rw-p 0 00:00 0 \n";
    static const struct owned owned[] = {
        {0x0, 0x500, EXTENT_AGENT, 0},
        {0x2000, 0x3000, EXTENT_MAPPED, 17},
        {0x8000, 0xb000, EXTENT_AGENT, 0},
        {0xb000, 0xd000, EXTENT_MAPPED, 18},
    };
    static const struct owned expected[] = {{0x1000, 0x2000, EXTENT_OTHER, 0}, {0x2000, 0x3000, EXTENT_MAPPED, 17},
                                            {0x3000, 0x8000, EXTENT_OTHER, 0}, {0x8000, 0x9000, EXTENT_AGENT, 0},
                                            {0xa000, 0xb000, EXTENT_AGENT, 0}, {0xb000, 0xc000, EXTENT_MAPPED, 18}};
    struct extents e = {0};
    maps_parse(text, &e);
    extents_give(&e, owned, sizeof owned / sizeof *owned);
    CHECK(e.count == sizeof expected / sizeof *expected);
    for (size_t i = 0; i < e.count; i++) {
        CHECK(e.items[i].start == expected[i].start && e.items[i].end == expected[i].end);
        CHECK(e.items[i].kind == expected[i].kind && e.items[i].id == expected[i].id);
    }
    extents_deinit(&e);
}

// ---- Pages --------------------------------------------------------------------------------------------------------------

enum { PAGE = 4096, PAGES = 3000 };

static void add_run(void *data, const struct page_run *run) {
    uint8_t *seen = data;
    CHECK(!run->swapped);
    for (uint64_t page = run->start / PAGE; page < run->end / PAGE; page++) seen[page]++;
}

// Every third page of our own is touched, and one is only read: of that the kernel has no page to count.
static void test_pages(bool by_read) {
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE) == 0);
    for (int i = 0; i < PAGES; i += 3) memory[i * PAGE] = 1;
    if (!by_read) CHECK(((volatile char *)memory)[PAGE] == 0);
    static uint8_t seen[PAGES];
    memset(seen, 0, sizeof seen);
    struct pages pages = {.fd = open("/proc/self/pagemap", O_RDONLY), .by_read = by_read, .page_bytes = PAGE};
    uint64_t start = (uint64_t)(uintptr_t)memory;
    CHECK(pages_walk(&pages, start, start + PAGES * PAGE, add_run, seen - start / PAGE));
    for (int i = 0; i < PAGES; i++) CHECK(seen[i] == (i % 3 == 0 || (pages.by_read && !by_read && i == 1)));
    close(pages.fd);
    munmap(memory, PAGES * PAGE);
}

// ---- Samples and ages -----------------------------------------------------------------------------------------------------

static struct ht_books_header *header;
static struct books books;

// Books with nothing in them but room for samples and regions.
static void make_books(void) {
    struct ht_books_header h = {.version = HT_BOOKS_VERSION,
                                .header_bytes = sizeof h,
                                .mode = HT_MODE_SAMPLED,
                                .slot_shift = 6,
                                .lane_count = 1,
                                .lane_stride = PAGE,
                                .lanes_offset = 2 * PAGE,
                                .max_ids = 128,
                                .group_count = 1,
                                .log_offset = 3 * PAGE,
                                .log_size = PAGE,
                                .own_offset = 4 * PAGE,
                                .own_slots = 8,
                                .regions_offset = 5 * PAGE,
                                .region_slots = 8,
                                .samples_offset = 6 * PAGE,
                                .sample_slots = 16384,
                                .pool_offset = 256 * PAGE,
                                .pool_pages = 1,
                                .total_bytes = 257 * PAGE,
                                .next_id = HT_FIRST_STACK_ID,
                                .magic = HT_BOOKS_MAGIC};
    int fd = (int)ht_sys_sealed_memfd("books", h.total_bytes);
    header = ht_sys_map_shared(fd, h.total_bytes);
    const char *why = NULL;
    memcpy(header, &h, sizeof h);
    CHECK(books_init(&books, fd, h.total_bytes, &why));
}

static struct ht_live_sample *samples_of(void) {
    return (struct ht_live_sample *)(void *)((char *)header + header->samples_offset);
}

static void test_samples(void) {
    struct ht_live_sample *s = samples_of();
    s[0] = (struct ht_live_sample){.address = 0x20000, .size = 1000, .bytes = 4000, .variance = 9e6, .rounding = 8};
    s[1] = (struct ht_live_sample){.size = 1000, .bytes = 4000};                     // gone
    s[2] = (struct ht_live_sample){.address = 0x10000, .size = 8192, .bytes = 8192}; // surely drawn
    s[3] = (struct ht_live_sample){.address = 0x11000, .size = 64, .bytes = 6400};   // inside another: freed meanwhile
    s[4] = (struct ht_live_sample){.address = 0x30000, .size = 64, .bytes = 32};     // makes no sense
    s[5] = (struct ht_live_sample){.address = UINT64_MAX - 5, .size = 64, .bytes = 64};
    s[6] = (struct ht_live_sample){.address = 0x40000, .size = 64, .bytes = 64, .variance = NAN};
    header->samples_used = 7;
    struct buf blocks = {0};
    size_t next = 0;
    CHECK(samples_read(&books, &blocks) && blocks.len == 2 * sizeof(struct block));
    samples_resident(&blocks, &next, 0x10000, 0x11000); // half of the large one
    samples_resident(&blocks, &next, 0x20000, 0x21000);
    struct sample_sums sums = samples_sum(&blocks, false);
    CHECK(sums.requested.bytes == 4000 + 8192 && sums.requested.error == 3000);
    CHECK(sums.rounding.bytes == 32 && fabs(sums.rounding.error - 24) < 1e-9); // 8 bytes of 4 blocks, each to 3
    CHECK(sums.absent.bytes == 4096 && sums.absent.error == 0);
    CHECK(sums.held.bytes == 4032 + 4096 && fabs(sums.held.error - 3024) < 1e-9);
    CHECK(fabs(samples_sum(&blocks, true).held.error - 24) < 1e-9);
    buf_deinit(&blocks);
}

static const struct ht_rec_age *rows_of(const struct buf *payload, struct ht_rec_ages *ret_head) {
    memcpy(ret_head, payload->data, sizeof *ret_head);
    CHECK(payload->len == sizeof *ret_head + ret_head->count * sizeof(struct ht_rec_age));
    return (const struct ht_rec_age *)(const void *)(payload->data + sizeof *ret_head);
}

static void put_sample(uint32_t slot, uint32_t id, uint32_t born) {
    samples_of()[slot] = (struct ht_live_sample){
        .address = 0x100000 + slot * 64ull, .size = 32, .bytes = 64, .variance = 100, .id = id, .born = born};
    header->samples_used = slot + 1;
}

// Births go to the first snapshot whose cut came after them, over the wrap of 32 bits as well.
static void test_births(void) {
    struct ages ages;
    struct buf payload = {0};
    struct ht_rec_ages head;
    ages_init(&ages);
    ages_mark(&ages, 0xfffffffeull, 1);
    ages_mark(&ages, 0x100000001ull, 2);
    ages_mark(&ages, 0x100000005ull, 3);
    put_sample(0, 20, 0xfffffff0u);
    put_sample(1, 20, 0xfffffffeu);
    put_sample(2, 20, 0);
    put_sample(3, 20, 1);
    put_sample(4, 20, 9); // after the last cut
    put_sample(5, 19, 4);
    CHECK(ages_encode(&ages, &books, 3, 77, &payload));
    const struct ht_rec_age *row = rows_of(&payload, &head);
    CHECK(head.count == 4 && head.snapshot == 3 && head.step == 1 && head.boottime_ns == 77 && !head.left_out_bytes);
    static const uint32_t expected[][3] = {{19, 3, 64}, {20, 1, 64}, {20, 2, 128}, {20, 3, 128}};
    for (int i = 0; i < 4; i++)
        CHECK(row[i].id == expected[i][0] && row[i].born == expected[i][1] && row[i].bytes == expected[i][2]);
    CHECK(row[2].variance == 200 && row[2].objects == 4);
    buf_deinit(&payload);
    ages_deinit(&ages);
}

// More than fit: births are rounded, and if that does not help small stacks are left out.
static void test_bounds(void) {
    struct ages ages;
    struct buf payload = {0};
    struct ht_rec_ages head;
    ages_init(&ages);
    for (uint32_t i = 1; i <= 1 << 17; i++) ages_mark(&ages, i, i);
    CHECK(ages.marks.len <= (1 << 16) * 8);
    for (uint32_t i = 0; i < 16384; i++) put_sample(i, 20 + i % 4, i * 8);
    CHECK(ages_encode(&ages, &books, 1 << 17, 1, &payload));
    const struct ht_rec_age *row = rows_of(&payload, &head);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < head.count; i++) sum += row[i].bytes;
    CHECK(head.count <= AGES_MOST && head.step > 1 && !head.left_out_bytes && sum == 16384 * 64);
    for (uint32_t i = 0; i < 16384; i++) put_sample(i, 20 + i, i * 8);
    CHECK(ages_encode(&ages, &books, 1 << 17, 1, &payload));
    rows_of(&payload, &head);
    CHECK(head.count == AGES_MOST && head.left_out_bytes == (16384 - AGES_MOST) * 64);
    buf_deinit(&payload);
    ages_deinit(&ages);
}

// Seldom: not at first, and then once a quarter of the time has gone by.
static void test_due(void) {
    struct ages ages = {.begun_ns = 0, .last_ns = 100 * NS_PER_S};
    CHECK(!ages_due(&ages, 133 * NS_PER_S) && ages_due(&ages, 134 * NS_PER_S));
    ages.last_ns = 0;
    CHECK(!ages_due(&ages, NS_PER_S / 5 - 1) && ages_due(&ages, NS_PER_S / 5));
}

// The regions as the program keeps them, and as one that lies would.
static void test_regions(void) {
    struct ht_range *regions = (struct ht_range *)(void *)((char *)header + header->regions_offset);
    struct ht_range *own = (struct ht_range *)(void *)((char *)header + header->own_offset);
    struct buf owned = {0};
    own[0] = (struct ht_range){.start = 0x50000, .end = 0x50100}; // a page
    regions[0] = (struct ht_range){.start = 0x10000, .end = 0x20000, .id = 21};
    regions[1] = (struct ht_range){.start = 0x18000, .end = 0x30000, .id = 22}; // overlaps
    regions[2] = (struct ht_range){.start = 0x40000, .end = 0x30000, .id = 23}; // ends before it begins
    header->own_used = 1;
    header->regions_used = 1000; // more than there is room for
    CHECK(owners_read(&books, &owned));
    const struct owned *o = (const struct owned *)(const void *)owned.data;
    CHECK(owned.len == 3 * sizeof *o && o[0].id == 21 && o[1].start == 0x20000 && o[1].id == 22);
    CHECK(o[2].kind == EXTENT_AGENT && o[2].end == 0x51000);
    header->regions_seq = 1; // changes for ever
    CHECK(!owners_read(&books, &owned) && owned.len == sizeof *o);
    buf_deinit(&owned);
}

int main(void) {
    test_kinds();
    test_owners();
    test_pages(false);
    test_pages(true);
    make_books();
    test_samples();
    test_births();
    test_bounds();
    test_due();
    test_regions();
    books_deinit(&books);
    return 0;
}
