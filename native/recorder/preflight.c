// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "preflight.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- Where it is ----------------------------------------------------------------------------------------------------

static bool is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

// As execvp() searches. The best find wins: an executable file, else a file.
static enum preflight_result find_program(const char *argv0, char *ret, size_t cap) {
    enum preflight_result result = PREFLIGHT_NOT_FOUND;
    const char *path = strchr(argv0, '/') ? "" : getenv("PATH");
    if (!path) path = "/bin:/usr/bin";
    for (const char *part = path;; part++) {
        size_t n = strcspn(part, ":");
        char file[PATH_MAX];
        snprintf(file, sizeof file, "%.*s%s%s", (int)n, part, n ? "/" : "", argv0);
        if (is_file(file)) {
            bool executable = access(file, X_OK) == 0;
            if (executable || result == PREFLIGHT_NOT_FOUND) snprintf(ret, cap, "%s", file);
            if (executable) return PREFLIGHT_GOOD;
            result = PREFLIGHT_NOT_EXECUTABLE;
        }
        part += n;
        if (!*part) return result;
    }
}

// ---- What it is -----------------------------------------------------------------------------------------------------

// The identification of our own image: what the agent can be loaded into.
static bool read_elf_ident(const char *path, unsigned char *ident, uint16_t *machine) {
    unsigned char head[20];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && pread(fd, head, sizeof head, 0) == sizeof head;
    if (fd >= 0) close(fd);
    if (!good) return false;
    memcpy(ident, head, EI_NIDENT);
    memcpy(machine, head + EI_NIDENT + 2, sizeof *machine);
    return true;
}

static bool has_interpreter(int fd) {
    Elf64_Ehdr ehdr;
    if (pread(fd, &ehdr, sizeof ehdr, 0) != sizeof ehdr || ehdr.e_phentsize != sizeof(Elf64_Phdr)) return false;
    for (unsigned i = 0; i < ehdr.e_phnum; i++) {
        Elf64_Phdr phdr;
        if (pread(fd, &phdr, sizeof phdr, (off_t)(ehdr.e_phoff + i * sizeof phdr)) != sizeof phdr) return false;
        if (phdr.p_type == PT_INTERP) return true;
    }
    return false;
}

static enum preflight_result check_elf(const char *path, char *message) {
    unsigned char own[EI_NIDENT], its[EI_NIDENT];
    uint16_t own_machine, its_machine;
    if (!read_elf_ident("/proc/self/exe", own, &own_machine) || !read_elf_ident(path, its, &its_machine))
        return PREFLIGHT_GOOD; // execute-only: it may well be recorded
    if (memcmp(its, ELFMAG, SELFMAG) != 0) return PREFLIGHT_GOOD;
    if (its[EI_CLASS] != own[EI_CLASS] || its_machine != own_machine) {
        snprintf(message, PREFLIGHT_TEXT,
                 "%s is for another architecture than heaptide's agent: nothing will be recorded; "
                 "use a heaptide built for it",
                 path);
        return PREFLIGHT_UNRECORDED;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool dynamic = fd >= 0 && has_interpreter(fd);
    if (fd >= 0) close(fd);
    if (dynamic) return PREFLIGHT_GOOD;
    snprintf(message, PREFLIGHT_TEXT,
             "%s is statically linked, nothing can be preloaded into it: nothing will be recorded; "
             "link it dynamically, or with -lheaptide",
             path);
    return PREFLIGHT_UNRECORDED;
}

static enum preflight_result check_rights(const char *path, char *message) {
    struct stat st;
    if (stat(path, &st)) return PREFLIGHT_GOOD;
    bool other_user = st.st_mode & S_ISUID && st.st_uid != geteuid();
    bool other_group = st.st_mode & S_ISGID && st.st_mode & S_IXGRP && st.st_gid != getegid();
    if (!other_user && !other_group) return PREFLIGHT_GOOD;
    snprintf(message, PREFLIGHT_TEXT,
             "%s is set%s: the system ignores preloading for it and nothing will be recorded; "
             "run it as its owner, or a copy without that bit",
             path, other_user ? "uid" : "gid");
    return PREFLIGHT_UNRECORDED;
}

// The interpreter of a script, if it is one.
static bool read_shebang(const char *path, char *ret, size_t cap) {
    char line[256];
    if (read_small(AT_FDCWD, path, line, sizeof line) < 3 || strncmp(line, "#!", 2) != 0) return false;
    char *word = line + 2 + strspn(line + 2, " \t");
    word[strcspn(word, " \t\r\n")] = 0;
    snprintf(ret, cap, "%s", word);
    return *word;
}

enum preflight_result preflight(const char *argv0, char *message, char *program) {
    char path[PATH_MAX], interpreter[PATH_MAX];
    message[0] = program[0] = 0;
    enum preflight_result result = *argv0 ? find_program(argv0, path, sizeof path) : PREFLIGHT_NOT_FOUND;
    if (result == PREFLIGHT_NOT_FOUND)
        snprintf(message, PREFLIGHT_TEXT, "%s: no such program; check its name and PATH", argv0);
    if (result == PREFLIGHT_NOT_EXECUTABLE)
        snprintf(message, PREFLIGHT_TEXT, "%s: may not be executed; `chmod +x` it if it is a program", path);
    if (result != PREFLIGHT_GOOD) return result;
    const char *executed = read_shebang(path, interpreter, sizeof interpreter) ? interpreter : path;
    if (!realpath(executed, program)) snprintf(program, PATH_MAX, "%s", executed);
    result = check_rights(path, message);
    return result == PREFLIGHT_GOOD ? check_elf(executed, message) : result;
}

bool find_agent(const char *given, char *ret, size_t cap) {
    char own[PATH_MAX];
    if (given) {
        char *whole = realpath(given, NULL); // the program may change its directory before it starts others
        snprintf(ret, cap, "%s", whole ? whole : given);
        free(whole);
        return access(ret, R_OK) == 0;
    }
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (n <= 0) return false;
    own[n] = 0;
    char *slash = strrchr(own, '/');
    if (!slash) return false;
    *slash = 0;
    return snprintf(ret, cap, "%s/libheaptide.so", own) < (int)cap && access(ret, R_OK) == 0;
}
