// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <stdlib.h>
#include <string.h>

static bool read_TEXT(const char *text, struct ht_option_text *ret) {
    *ret = (struct ht_option_text){*text != 0, text};
    return true;
}

static bool read_FLAG(const char *text, struct ht_option_flag *ret) {
    bool yes = !*text || strchr("tTyY1", *text) != NULL;
    *ret = (struct ht_option_flag){true, yes};
    return yes || strchr("fFnN0", *text) != NULL; // else it counts as no, and is told
}

static const char *read_digits(const char *text, int64_t *ret) {
    bool negative = *text == '-';
    const char *p = text + negative;
    int64_t value = 0;
    if (*p < '0' || *p > '9') return NULL;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *p - '0', &value)) return NULL;
    *ret = negative ? -value : value;
    return p;
}

static bool read_NUMBER(const char *text, struct ht_option_number *ret) {
    const char *end = read_digits(text, &ret->value);
    return ret->set = end && !*end;
}

static int unit_shift(const char *unit) { // K, KB, KiB, M ...: powers of 1024, as sizes of memory are
    static const char letters[] = "KMGT";
    if (!*unit || !strcmp(unit, "B")) return 0;
    const char *letter = strchr(letters, *unit & ~0x20);
    bool known = letter && (!unit[1] || !strcmp(unit + 1, "iB") || !strcmp(unit + 1, "B") || !strcmp(unit + 1, "b"));
    return known ? 10 * (int)(letter - letters + 1) : -1;
}

static bool read_SIZE(const char *text, struct ht_option_number *ret) {
    const char *end = read_digits(text, &ret->value);
    int shift = end ? unit_shift(end) : -1;
    ret->set = shift >= 0 && ret->value > 0 && ret->value <= (1ll << 40) >> shift;
    if (ret->set) ret->value <<= shift;
    return ret->set;
}

void ht_options_read(struct ht_options *ret) {
    *ret = (struct ht_options){0};
    uint32_t bit = 1;
#define OPTION(field, variable, kind)                                                                                  \
    {                                                                                                                  \
        const char *text = getenv(variable);                                                                           \
        if (text && !read_##kind(text, &ret->field)) ret->bad |= bit;                                                  \
        bit <<= 1;                                                                                                     \
    }
#include "options.def"
#undef OPTION
}
