// SPDX-License-Identifier: Apache-2.0
// libraries.c: libraries that come and go. They lie beside the program: plugin.c compiled as alpha, beta and deep, the last one
// linked with an allocator of its own where there is one.
#define _GNU_SOURCE
#include "torture.h"

#include <dlfcn.h>

typedef void *keeps_function(size_t);
typedef void frees_function(void *);

static void *open_library(const char *name, int flags) {
    void *library = dlopen(name, RTLD_NOW | flags); // found by our RUNPATH, $ORIGIN, or not at all
    check(library != NULL, name);
    return library;
}

static uintptr_t keep_in(const char *name, size_t bytes) {
    void *library = open_library(name, RTLD_LOCAL);
    keeps_function *keeps = (keeps_function *)dlsym(library, "plugin_keeps");
    for (int i = 0; i < 10; i++) check(keeps(bytes) != NULL, "memory");
    uintptr_t address = (uintptr_t)keeps;
    dlclose(library);
    return address;
}

// Two libraries at one address in turn: what each kept must stand under its own name.
static int address_reuse(void) {
    uintptr_t first = keep_in("libalpha.so", 1000), second = keep_in("libbeta.so", 3000);
    check(first == second || getenv("ANY_ADDRESS"), "the loader does not use an address again");
    for (int i = 0; i < 20; i++) {
        keep_in("libalpha.so", 1000);
        keep_in("libbeta.so", 3000);
    }
    say("opened and closed\n");
    return 0;
}

// More often than any table has places.
static int opened_for_ever(void) {
    for (int i = 0; i < 5000; i++) {
        void *library = open_library("libalpha.so", RTLD_LOCAL);
        keeps_function *keeps = (keeps_function *)dlsym(library, "plugin_keeps");
        frees_function *frees = (frees_function *)dlsym(library, "plugin_frees");
        frees(keeps(1000));
        dlclose(library);
    }
    keep_in("libbeta.so", 2000); // and still the names are right
    say("5000 times\n");
    return 0;
}

static int runpath(void) {
    void *library = open_library("libalpha.so", RTLD_LAZY);
    keeps_function *keeps = (keeps_function *)dlsym(library, "plugin_keeps");
    check(keeps(5000) != NULL, "memory");
    check(dlopen("libno-such-thing.so", RTLD_NOW) == NULL && dlerror() != NULL, "an error text");
    check(dlsym(RTLD_DEFAULT, "no_such_symbol") == NULL && dlerror() != NULL, "another");
    say("found\n");
    return 0;
}

// Its malloc and free are those of its own scope and not the global ones. glibc's are both; another allocator that comes
// with it must get back its own blocks, and ours must not be confused by addresses it never saw freed.
static int deepbind(void) {
    void *library = open_library("libdeep.so", RTLD_DEEPBIND);
    keeps_function *keeps = (keeps_function *)dlsym(library, "plugin_keeps");
    frees_function *frees = (frees_function *)dlsym(library, "plugin_frees");
    for (int i = 0; i < 500; i++) {
        void *theirs = keeps((size_t)(i % 200) + 1);
        memset(theirs, 1, (size_t)(i % 200) + 1);
        frees(theirs);
        churn(4);
    }
    say("bound deeply\n");
    return 0;
}

// With the C library alone below, the other scope's free is that of our blocks as well: we never hear of it, and the address
// is soon used again.
static int deepbind_frees_ours(void) {
    void *library = open_library("libdeep.so", RTLD_DEEPBIND);
    frees_function *frees = (frees_function *)dlsym(library, "plugin_frees");
    for (int i = 0; i < 3000; i++) frees(malloc((size_t)(i % 300) + 1));
    churn(2000);
    say("freed behind our back\n");
    return 0;
}

int main(int argc, char **argv) {
    static const struct hazard all[] = {HAZARD(address_reuse), HAZARD(opened_for_ever),     HAZARD(runpath),
                                        HAZARD(deepbind),      HAZARD(deepbind_frees_ours), {0}};
    return run_hazard(all, argc, argv);
}
