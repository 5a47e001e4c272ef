// SPDX-License-Identifier: Apache-2.0
// shim_string.c: strdup and strndup. The C library's come back through malloc, which is ours. An allocator's own (mimalloc 3
// has some) do not, while what they return is freed through free, which is ours.
#define _GNU_SOURCE
#include <string.h>

#include "shim.h"

static HT_NOINLINE char *copy_of(const char *text, size_t length) {
    struct ht_caller caller = HT_CALLER();
    ht_tls.entries++;
    char *copy = ht_real.malloc(ht_shim_ask(length + 1));
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    ht_shim_allocated(copy, length + 1, &caller);
    return copy;
}

HT_EXPORT char *strdup(const char *text) {
    if (ht_likely(!ht_real_has_strdup)) return ht_real.strdup(text);
    return copy_of(text, strlen(text));
}

HT_EXPORT char *strndup(const char *text, size_t most) {
    if (ht_likely(!ht_real_has_strdup)) return ht_real.strndup(text, most);
    return copy_of(text, strnlen(text, most));
}
