// SPDX-License-Identifier: Apache-2.0
// options.h: the environment, read once. A value that cannot be read counts as absent, and its bit is set in `bad`.
#ifndef HEAPTIDE_OPTIONS_H
#define HEAPTIDE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct ht_option_text {
    bool set;
    const char *value; // borrowed from the environment
};
struct ht_option_number { // NUMBER: decimal; SIZE: bytes with an optional unit (KiB, MiB, GiB, K, M, G)
    bool set;
    int64_t value;
};
struct ht_option_flag { // empty or beginning with t T y Y 1: true, as gperftools reads them
    bool set, value;
};

#define OPTION_TYPE_TEXT struct ht_option_text
#define OPTION_TYPE_NUMBER struct ht_option_number
#define OPTION_TYPE_SIZE struct ht_option_number
#define OPTION_TYPE_FLAG struct ht_option_flag

struct ht_options {
#define OPTION(field, variable, kind) OPTION_TYPE_##kind field;
#include "options.def"
#undef OPTION
    uint32_t bad;
};

void ht_options_read(struct ht_options *ret);

#endif
