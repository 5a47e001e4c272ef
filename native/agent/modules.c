// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "modules.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#include "books.h"
#include "real.h"
#include "turn.h"
#include "unwind.h"

// glibc 2.35 and later find the object of an address without a lock. Declared here: the headers may be older.
struct found_object {
    unsigned long long flags;
    void *start, *end;
    struct link_map *link_map;
    void *eh_frame_hdr;
    unsigned long long reserved[7];
};
extern int find_object(void *address, struct found_object *ret) __asm__("_dl_find_object") __attribute__((weak));

struct module {
    uint64_t start, end;
    uint64_t low, high; // of all that had this entry before it
    uint64_t identity;  // of its build id, or 0
    uint64_t salt;      // its part of the salt while it is open
    uint32_t number;    // in the log, from 1
    bool closed;
};

enum { MODULES = 4096 };
static struct module *modules;
static uint32_t module_count; // entries below are complete
static uint32_t last_number;
static ht_turn busy;          // one thread at a time adds; the others come again
static uint32_t closed_asked; // somebody closed a library, and `busy` was another's
static uint64_t salt;
bool ht_modules_reused;
static uint16_t salted[MODULES]; // entries that ever had a salt
static uint32_t salted_count;
static char main_path[4096]; // read at the start: a program may be gone before the recorder can ask for it

bool ht_modules_init(void) {
    ht_sys_readlink("/proc/self/exe", main_path, sizeof main_path - 1);
    if (!modules) modules = ht_sys_map(MODULES * sizeof *modules);
    return modules != NULL;
}

uint64_t ht_modules_salt(void) { return __atomic_load_n(&salt, __ATOMIC_RELAXED); }

uint64_t ht_modules_salt_of(uint64_t pc) {
    for (uint32_t n = __atomic_load_n(&salted_count, __ATOMIC_ACQUIRE); n-- > 0;) {
        const struct module *m = &modules[salted[n]];
        if (!__atomic_load_n(&m->closed, __ATOMIC_ACQUIRE) && pc - m->start < m->end - m->start) return m->salt;
    }
    return 0;
}

static bool is_known(uint64_t start) {
    for (uint32_t n = __atomic_load_n(&module_count, __ATOMIC_ACQUIRE); n-- > 0;)
        if (!__atomic_load_n(&modules[n].closed, __ATOMIC_ACQUIRE) && modules[n].start == start) return true;
    return false;
}

// ---- What the log says of a module --------------------------------------------------------------------------------------

struct object { // a loaded object, from the loader or from its own headers
    uint64_t start, end, bias;
    const Elf64_Phdr *phdrs;
    unsigned phnum;
    const char *path;
};

static bool note_is_build_id(const Elf64_Nhdr *note) {
    return note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && !memcmp(note + 1, "GNU", 4);
}

static const void *find_build_id(const struct object *o, uint32_t *ret_bytes) {
    *ret_bytes = 0;
    for (unsigned i = 0; i < o->phnum; i++) {
        if (o->phdrs[i].p_type != PT_NOTE) continue;
        uint64_t at = o->bias + o->phdrs[i].p_vaddr, end = at + o->phdrs[i].p_memsz;
        if (at < o->start || end > o->end) continue;
        while (at + sizeof(Elf64_Nhdr) <= end) {
            const Elf64_Nhdr *note = (const Elf64_Nhdr *)at;
            uint64_t name = (note->n_namesz + 3ull) & ~3ull, data = (note->n_descsz + 3ull) & ~3ull;
            if (at + sizeof *note + name + data > end) break;
            if (note_is_build_id(note)) {
                *ret_bytes = note->n_descsz <= 64 ? note->n_descsz : 0;
                return (const char *)(note + 1) + name;
            }
            at += sizeof *note + name + data;
        }
    }
    return NULL;
}

static uint32_t flags_of(const struct object *o) {
    uint64_t us = (uint64_t)(uintptr_t)&flags_of, next = (uint64_t)(uintptr_t)ht_real.malloc;
    uint32_t flags = 0;
    if (!o->path[0]) flags |= HT_MODULE_MAIN;
    if (us - o->start < o->end - o->start) flags |= HT_MODULE_AGENT;
    if (next - o->start < o->end - o->start) flags |= HT_MODULE_ALLOCATOR;
    if (!strncmp(o->path, "linux-vdso", 10)) flags |= HT_MODULE_VDSO;
    return flags;
}

static uint64_t round8(uint64_t n) { return (n + 7) & ~7ull; }

static bool log_module(struct ht_books *b, const struct object *o, uint32_t number) {
    const char *path = o->path[0] ? o->path : main_path;
    uint32_t id_bytes, path_bytes = (uint32_t)strnlen(path, 4095), phnum = o->phnum < 64 ? o->phnum : 64;
    const void *id = find_build_id(o, &id_bytes);
    uint64_t bytes =
        sizeof(struct ht_log_module) + phnum * sizeof(struct ht_phdr) + round8(id_bytes) + round8(path_bytes);
    uint64_t position;
    struct ht_log_entry *entry = ht_log_reserve(b, bytes, &position);
    if (!entry) return false;
    struct ht_log_module *m = (struct ht_log_module *)entry;
    entry->type = HT_LOG_MODULE, entry->flags = 0, entry->id = number;
    m->start = o->start, m->end = o->end, m->bias = o->bias;
    m->seen_boottime_ns = ht_sys_boottime_from_vdso_ns();
    m->phnum = phnum, m->build_id_bytes = id_bytes, m->path_bytes = path_bytes, m->flags = flags_of(o);
    struct ht_phdr *phdr = (struct ht_phdr *)(m + 1);
    for (uint32_t i = 0; i < phnum; i++) {
        const Elf64_Phdr *p = &o->phdrs[i];
        phdr[i] = (struct ht_phdr){p->p_type, p->p_flags, p->p_offset, p->p_vaddr, p->p_filesz, p->p_memsz, p->p_align};
    }
    char *text = (char *)(phdr + phnum);
    if (id) memcpy(text, id, id_bytes);
    memcpy(text + round8(id_bytes), path, path_bytes);
    ht_log_publish(entry, position);
    return true;
}

static uint64_t identity_of(const struct object *o) {
    uint32_t bytes;
    const unsigned char *id = find_build_id(o, &bytes);
    uint64_t hash = bytes;
    for (uint32_t i = 0; i < bytes; i++) hash = (hash ^ id[i]) * 0x100000001b3ull;
    return hash;
}

static bool is_same(const struct module *m, const struct object *o, uint64_t identity) {
    return identity && m->identity == identity && m->start == o->start;
}

static bool was_used(const struct module *m, const struct object *o) { return m->low < o->end && o->start < m->high; }

// Where a module lies over one that was closed, its addresses mean other functions than before; not if it is the same one,
// which comes and goes.
static bool reuses_addresses(const struct object *o, uint64_t identity) {
    for (uint32_t n = 0; n < module_count; n++)
        if (was_used(&modules[n], o) && !is_same(&modules[n], o, identity)) return true;
    return false;
}

// Of the closed ones that lie there, if any, else the next: a program may open and close libraries for ever.
static uint32_t place_for(const struct object *o) {
    uint32_t n = module_count, any_closed = MODULES;
    for (uint32_t i = 0; i < n; i++) {
        if (!modules[i].closed) continue;
        if (was_used(&modules[i], o)) return i;
        any_closed = i;
    }
    return n < MODULES ? n : any_closed;
}

// Nothing where no address meant anything before. It depends on what the module is and where: libraries that take turns at
// one place make stacks of their own once each, and not in every turn.
static uint64_t salt_for(uint32_t place, const struct object *o, uint64_t identity) {
    const struct module *m = &modules[place];
    if (place < module_count && is_same(m, o, identity)) return m->salt;
    if (!reuses_addresses(o, identity)) return 0;
    return (((identity ? identity : last_number) ^ o->start >> 12) * 0x9e3779b97f4a7c15ull) | 1;
}

static void remember_salted(uint32_t place) {
    for (uint32_t n = 0; n < salted_count; n++)
        if (salted[n] == place) return;
    salted[salted_count] = (uint16_t)place;
    __atomic_store_n(&salted_count, salted_count + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&ht_modules_reused, true, __ATOMIC_RELEASE);
}

// The entry becomes that of `o`. What lay elsewhere and has to make room is forgotten: its addresses, used again, would not
// be known as such, so all stacks are numbered anew.
static void put_module(uint32_t place, const struct object *o, uint64_t identity) {
    struct module *m = &modules[place]; // closed as yet: nobody looks
    bool taken = place < module_count, here = taken && was_used(m, o);
    if (taken && !here) {
        __atomic_fetch_add(&salt, 1, __ATOMIC_RELAXED);
        ht_unwind_flush(); // and with it what threads remember
    }
    uint64_t low = here && m->low < o->start ? m->low : o->start, high = here && m->high > o->end ? m->high : o->end;
    *m = (struct module){o->start, o->end, low, high, identity, salt_for(place, o, identity), ++last_number, true};
    if (m->salt) remember_salted(place);
    __atomic_store_n(&m->closed, false, __ATOMIC_RELEASE);
    if (!taken) __atomic_store_n(&module_count, place + 1, __ATOMIC_RELEASE);
}

static void log_unload(struct ht_books *b, uint32_t number) {
    uint64_t position;
    struct ht_log_entry *entry = ht_log_reserve(b, sizeof *entry, &position);
    if (!entry) return; // the next module at these addresses replaces it in the reader
    entry->type = HT_LOG_UNLOAD, entry->flags = 0, entry->id = number;
    ht_log_publish(entry, position);
}

static void look_for_closed(struct ht_books *b) {
    __atomic_store_n(&closed_asked, 0, __ATOMIC_SEQ_CST);
    for (uint32_t n = 0; n < module_count; n++) {
        struct found_object f;
        if (modules[n].closed || find_object((void *)(uintptr_t)modules[n].start, &f) == 0) continue;
        modules[n].closed = true;
        if (b->header->log_size) log_unload(b, modules[n].number);
    }
}

static void end_turn(struct ht_books *b) {
    ht_turn_end(&busy);
    while (__atomic_load_n(&closed_asked, __ATOMIC_SEQ_CST) && ht_turn_take(&busy)) {
        look_for_closed(b);
        ht_turn_end(&busy);
    }
}

static bool add(const struct object *o) {
    struct ht_books *b = ht_books_now();
    if (!b || !b->header->log_size || !b->control) return true;
    if (!ht_turn_take(&busy)) return false;
    uint32_t place = place_for(o);
    bool done = is_known(o->start);
    if (!done && place < MODULES && log_module(b, o, last_number + 1)) {
        put_module(place, o, identity_of(o));
        done = true;
    }
    end_turn(b);
    return done;
}

// ---- Finding the object of an address -----------------------------------------------------------------------------------

static void bounds_from_phdrs(struct object *o) {
    uint64_t low = ~0ull, high = 0;
    for (unsigned i = 0; i < o->phnum; i++) {
        if (o->phdrs[i].p_type != PT_LOAD) continue;
        uint64_t start = o->phdrs[i].p_vaddr & ~4095ull, end = o->phdrs[i].p_vaddr + o->phdrs[i].p_memsz;
        if (start < low) low = start;
        if (end > high) high = end;
    }
    o->start = o->bias + low;
    o->end = o->bias + ((high + 4095) & ~4095ull);
}

static bool object_from_memory(const struct found_object *f, struct object *ret) {
    const Elf64_Ehdr *header = f->start; // every linker in use maps the file's head into the first segment
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return false;
    *ret = (struct object){.bias = f->link_map->l_addr,
                           .phdrs = (const Elf64_Phdr *)((const char *)f->start + header->e_phoff),
                           .phnum = header->e_phnum,
                           .path = f->link_map->l_name ? f->link_map->l_name : ""};
    bounds_from_phdrs(ret);
    return true;
}

struct search { // for C libraries without _dl_find_object
    uint64_t pc;
    struct object object;
    const void *eh_frame_hdr;
    bool found;
};

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    struct search *s = data;
    struct object o = {.bias = info->dlpi_addr,
                       .phdrs = info->dlpi_phdr,
                       .phnum = info->dlpi_phnum,
                       .path = info->dlpi_name ? info->dlpi_name : ""};
    bounds_from_phdrs(&o);
    if (s->pc - o.start >= o.end - o.start) return 0;
    s->object = o, s->found = true;
    for (unsigned i = 0; i < o.phnum; i++)
        if (o.phdrs[i].p_type == PT_GNU_EH_FRAME) s->eh_frame_hdr = (const void *)(o.bias + o.phdrs[i].p_vaddr);
    return 1;
}

static HT_COLD void search_with_lock(uint64_t pc, struct ht_module_lookup *ret) {
    struct search s = {.pc = pc};
    dl_iterate_phdr(visit, &s);
    if (!s.found) return;
    *ret = (struct ht_module_lookup){true, is_known(s.object.start) || add(&s.object), s.eh_frame_hdr};
}

void ht_modules_lookup(uint64_t pc, struct ht_module_lookup *ret) {
    *ret = (struct ht_module_lookup){.known = true};
    if (!find_object) return search_with_lock(pc, ret);
    struct found_object f;
    if (find_object((void *)(uintptr_t)pc, &f) != 0) return;
    *ret = (struct ht_module_lookup){true, is_known((uint64_t)(uintptr_t)f.start), f.eh_frame_hdr};
    struct object o;
    if (!ret->known && object_from_memory(&f, &o)) ret->known = add(&o);
}

uint64_t ht_modules_start_of(uint64_t pc) {
    struct found_object f;
    bool found = find_object && find_object((void *)(uintptr_t)pc, &f) == 0;
    return found ? (uint64_t)(uintptr_t)f.start : 0;
}

static int log_one(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size, (void)data;
    struct object o = {.bias = info->dlpi_addr,
                       .phdrs = info->dlpi_phdr,
                       .phnum = info->dlpi_phnum,
                       .path = info->dlpi_name ? info->dlpi_name : ""};
    bounds_from_phdrs(&o);
    if (!is_known(o.start)) add(&o);
    return 0;
}

void ht_modules_log_all(void) { dl_iterate_phdr(log_one, NULL); }

void ht_modules_forget(void) {
    __atomic_store_n(&module_count, 0, __ATOMIC_RELEASE);
    last_number = salted_count = closed_asked = 0;
    ht_turn_end(&busy);
}

void ht_modules_left(void) { ht_turn_left(&busy); }

void ht_modules_closed(void) {
    struct ht_books *b = ht_books_now();
    ht_unwind_flush();
    if (!b || !find_object) return;
    __atomic_store_n(&closed_asked, 1, __ATOMIC_SEQ_CST);
    if (!ht_turn_take(&busy)) return; // whose turn it is does it
    struct ht_thread *t = ht_tls.thread;
    bool guards = t && !t->capturing; // as a capture is: a handler that strikes here makes none, and leaving is noticed
    if (guards) t->capturing = true;
    look_for_closed(b);
    end_turn(b);
    if (guards) t->capturing = false;
}
