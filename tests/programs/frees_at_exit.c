// SPDX-License-Identifier: Apache-2.0
// frees_at_exit.c: holds a list and a table while it works, and frees every block in its ordinary shutdown: half in a
// handler of atexit, half in a destructor. At "end" everything is there, at "exit" nothing.
#define _GNU_SOURCE
#include "truth.h"

struct node {
    struct node *next;
    char payload[120];
};
enum { NODES = 1000, ROWS = 50, ROW_BYTES = 2048 };
static struct node *list;
static char *table[ROWS];

SITE static void builds_a_list(void) {
    for (int i = 0; i < NODES; i++) {
        struct node *node = malloc(sizeof *node);
        if (!node) abort();
        node->next = list;
        list = node;
        took(sizeof *node);
    }
    KEEP(list);
}

SITE static void builds_a_table(void) {
    for (int i = 0; i < ROWS; i++) {
        table[i] = calloc(1, ROW_BYTES);
        took(ROW_BYTES);
    }
    KEEP(table);
}

static void free_list(void) {
    while (list) {
        struct node *next = list->next;
        free(list);
        list = next;
    }
}

__attribute__((destructor)) static void free_table(void) {
    for (int i = 0; i < ROWS; i++) free(table[i]);
}

int main(int argc, char **argv) {
    (void)argv;
    atexit(free_list);
    builds_a_list();
    builds_a_table();
    truth_write(TRUTH_ALL_FREED);
    if (argc > 1) exit(0); // any argument: through exit, not by returning from main
    return 0;
}
