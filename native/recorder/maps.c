// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "maps.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 << 10,
    MAPS_LIMIT = 64 << 20,    // some 600,000 lines: nine times what the kernel allows a process by default
    STACK_GUARD = 256 << 10,  // a larger piece without access is a reservation and no guard
    LOADER_PIECE = 128 << 10, // below what glibc maps for one block (M_MMAP_THRESHOLD)
    ARENA_ALIGN = 64 << 20,   // glibc's arenas begin at such addresses (HEAP_MAX_SIZE of malloc/arena.c)
};

void extents_deinit(struct extents *extents) {
    free(extents->items);
    *extents = (struct extents){0};
}

static bool extents_add(struct extents *extents, const struct extent *extent) {
    if (extents->count == extents->cap) {
        size_t cap = extents->cap ? extents->cap * 2 : 256;
        struct extent *items = realloc(extents->items, cap * sizeof *items);
        extents->failed |= !items;
        if (!items) return false;
        extents->items = items;
        extents->cap = cap;
    }
    extents->items[extents->count++] = *extent;
    return true;
}

bool maps_fetch(int fd, struct buf *ret) {
    buf_clear(ret);
    if (lseek(fd, 0, SEEK_SET) < 0) return false;
    for (ssize_t n = 1; n > 0;) {
        uint8_t *to = buf_grow(ret, READ_BYTES);
        if (!to) return false;
        n = read(fd, to, READ_BYTES);
        ret->len -= READ_BYTES - (n > 0 ? (size_t)n : 0);
        if (n < 0 || ret->len > MAPS_LIMIT) return false;
    }
    buf_put(ret, "", 1);
    return ret->len > 1 && !ret->failed;
}

// ---- One line: start-end rwxp offset major:minor inode path -------------------------------------------------------------

static uint64_t hex(char **at) { return strtoull(*at, at, 16); }

static char *skip_word(char *at) {
    at += strcspn(at, " ");
    return at + strspn(at, " ");
}

static bool begins(const char *name, const char *with) { return !strncmp(name, with, strlen(with)); }

static bool is_memory_file(const char *name) {
    static const char *const places[] = {"/memfd:",        "/dev/shm/",       "/SYSV",      "/dev/zero",
                                         "/anon_hugepage", "/dev/hugepages/", "anon_inode:"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (begins(name, places[i])) return true;
    return false;
}

// Names in brackets are the kernel's, or were given to anonymous memory by its owner ([anon:...]).
static uint32_t kind_of(const char *name, bool has_inode) {
    if (strstr(name, "libheaptide.so") || begins(name, "/memfd:heaptide")) return EXTENT_AGENT;
    if (begins(name, "[stack")) return EXTENT_STACK;
    if (begins(name, "[anon_shmem:") || is_memory_file(name)) return EXTENT_SHARED;
    return has_inode || begins(name, "[v") ? EXTENT_CODE : EXTENT_HEAP; // [vdso], [vvar], [vsyscall]
}

static bool parse_line(char *line, struct extent *ret) {
    char *at = line;
    *ret = (struct extent){.start = hex(&at)};
    if (*at++ != '-') return false;
    ret->end = hex(&at);
    if (*at++ != ' ' || ret->end <= ret->start || strlen(at) < 5) return false;
    ret->guard = !strncmp(at, "---", 3);
    ret->executable = at[2] == 'x';
    at = skip_word(skip_word(skip_word(at))); // rights, offset, device
    ret->inode = strtoull(at, NULL, 10);
    at = skip_word(at);
    ret->kind = kind_of(at, ret->inode != 0);
    ret->is_break = begins(at, "[heap]");
    return true;
}

// ---- What the order of the lines tells ----------------------------------------------------------------------------------

// A program or library is mapped in several pieces, of which one is executable. Of another file none is.
static void tell_files(struct extents *all) {
    for (size_t first = 0, end; first < all->count; first = end) {
        bool code = false;
        for (end = first; end < all->count && all->items[end].inode == all->items[first].inode; end++)
            code |= all->items[end].executable;
        for (size_t i = first; i < end && !code; i++)
            if (all->items[i].kind == EXTENT_CODE && all->items[i].inode) all->items[i].kind = EXTENT_FILE;
    }
}

// What is not told by its name and lies right behind a file's data is that file's zeroed data; right behind a guard it is a
// thread's stack; in a small piece by itself, the loader's.
static void tell_anonymous(struct extents *all) {
    static const struct extent nothing;
    for (size_t i = 0; i < all->count; i++) {
        struct extent *e = &all->items[i];
        const struct extent *before = i && e[-1].end == e->start ? &e[-1] : &nothing;
        if (e->kind != EXTENT_HEAP || e->guard || e->is_break || e->start % ARENA_ALIGN == 0) continue;
        bool is_data = before->inode && (before->kind == EXTENT_CODE || before->kind == EXTENT_AGENT);
        bool is_guarded = before->guard && !before->inode && before->end - before->start <= STACK_GUARD;
        if (is_data)
            e->kind = before->kind;
        else if (is_guarded)
            e->kind = EXTENT_STACK;
        else if (e->end - e->start <= LOADER_PIECE)
            e->kind = EXTENT_OTHER;
    }
}

void maps_parse(char *text, struct extents *ret) {
    struct extent extent;
    ret->count = 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        bool ascends = parse_line(line, &extent) && (!ret->count || extent.start >= ret->items[ret->count - 1].end);
        if (ascends && !extents_add(ret, &extent)) break; // a mapping that moved between two reads is met twice
    }
    tell_files(ret);
    tell_anonymous(ret);
}

// ---- What the books know --------------------------------------------------------------------------------------------------

// Adds [start, end) of `whole` for `owner`, or as it was.
static void add_piece(struct extents *ret, const struct extent *whole, uint64_t start, uint64_t end,
                      const struct owned *owner) {
    struct extent piece = *whole;
    if (start >= end) return;
    piece.start = start;
    piece.end = end;
    if (owner && (owner->kind == EXTENT_AGENT || whole->kind != EXTENT_AGENT)) {
        piece.kind = owner->kind;
        piece.id = owner->id;
    }
    extents_add(ret, &piece);
}

void extents_give(struct extents *extents, const struct owned *owned, size_t count) {
    struct extents cut = {0};
    size_t next = 0;
    for (size_t i = 0; i < extents->count; i++) {
        const struct extent *e = &extents->items[i];
        uint64_t at = e->start;
        while (next < count && owned[next].end <= at) next++;
        for (size_t o = next; o < count && owned[o].start < e->end; o++) {
            uint64_t start = max_u64(owned[o].start, at), end = min_u64(owned[o].end, e->end);
            add_piece(&cut, e, at, start, NULL);
            add_piece(&cut, e, start, end, &owned[o]);
            at = max_u64(at, end);
        }
        add_piece(&cut, e, at, e->end, NULL);
    }
    cut.failed |= extents->failed;
    extents_deinit(extents);
    *extents = cut;
}
