// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "options.h"

#include "books.h"
#include "version.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "heaptide-record: record what a program allocates\n"
    "\n"
    "  heaptide-record [options] -- COMMAND...    execute COMMAND in place, recorded\n"
    "  heaptide-record --follow --listen-fd N     record whoever registers at the socket N\n"
    "  heaptide-record --serve [--control-fd N]   the same at an address of its own, which it prints\n"
    "  heaptide-record --arm PID [--sample SIZE]  record what PID allocates from now on, at this interval\n"
    "  heaptide-record --disarm PID               record no more of its allocations, only frees of recorded ones\n"
    "\n"
    "  -o, --output NAME     the captures' name; {name} and {pid} are replaced (./{name}.{pid}.tide)\n"
    "      --exact           count every allocation\n"
    "      --sample SIZE     sample with this mean interval: 64KiB, 1MiB\n"
    "      --every DURATION  a snapshot so often: 500ms, 10s, 5m (250 ms, stretched to 10 s)\n"
    "      --budget SIZE     the most that a capture may take on disk (64MiB); 0: no limit\n"
    "      --no-children     leave executed and forked children alone\n"
    "      --agent PATH      libheaptide.so (beside this program)\n"
    "      --program PATH    what is recorded first, if it is gone before it can be looked at\n"
    "      --help, --version\n"
    "\n"
    "Example: heaptide-record -o /var/tmp/server.tide -- ./server --port 8080\n"
    "A signal USR1 to the recorder (another by HEAPTIDE_SIGNAL) takes a snapshot at once.\n"
    "Exit status: COMMAND's own; 125 this program failed, 126 COMMAND cannot be executed, 127 not found.\n";

enum {
    OPT_EXACT = 256,
    OPT_SAMPLE,
    OPT_EVERY,
    OPT_BUDGET,
    OPT_NO_CHILDREN,
    OPT_AGENT,
    OPT_PROGRAM,
    OPT_FOLLOW,
    OPT_LISTEN_FD,
    OPT_SERVE,
    OPT_CONTROL_FD,
    OPT_CLOCK_FD,
    OPT_ARM,
    OPT_DISARM,
    OPT_HELP,
    OPT_VERSION
};

static const struct option LONG_OPTIONS[] = {
    {"output", required_argument, NULL, 'o'},
    {"exact", no_argument, NULL, OPT_EXACT},
    {"sample", required_argument, NULL, OPT_SAMPLE},
    {"every", required_argument, NULL, OPT_EVERY},
    {"budget", required_argument, NULL, OPT_BUDGET},
    {"no-children", no_argument, NULL, OPT_NO_CHILDREN},
    {"agent", required_argument, NULL, OPT_AGENT},
    {"program", required_argument, NULL, OPT_PROGRAM},
    {"follow", no_argument, NULL, OPT_FOLLOW},
    {"listen-fd", required_argument, NULL, OPT_LISTEN_FD},
    {"serve", no_argument, NULL, OPT_SERVE},
    {"control-fd", required_argument, NULL, OPT_CONTROL_FD},
    {"clock-fd", required_argument, NULL, OPT_CLOCK_FD}, // for tests, see clock.h; not in the help
    {"arm", required_argument, NULL, OPT_ARM},
    {"disarm", required_argument, NULL, OPT_DISARM},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

enum { STATUS_FAILED = 125 };
static const uint64_t LEAST_EVERY_NS = 10 * NS_PER_MS; // the tick of a young image

static bool parse_number(const char *text, int *ret) {
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < 0 || value > 1 << 20) return false;
    *ret = (int)value;
    return true;
}

static bool parse_pid(const char *text, int *ret) {
    char *end;
    long value = strtol(text, &end, 10);
    *ret = (int)value;
    return end != text && !*end && value > 0 && value < 1l << 31;
}

static bool parse_signal(const char *text, int *ret) {
    static const struct {
        const char *name;
        int number;
    } names[] = {{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"HUP", SIGHUP}, {"WINCH", SIGWINCH}, {"IO", SIGIO}};
    const char *name = strncmp(text, "SIG", 3) ? text : text + 3;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i].name)) *ret = names[i].number;
    int number = 0;
    if (parse_number(text, &number) && number >= 1 && number <= 64) *ret = number;
    return number || *ret;
}

// ---- The environment: a value that cannot be read is left out, and the capture says so -------------------------------------

static void complain(struct options *o, const char *name, const char *value) {
    char text[256];
    snprintf(text, sizeof text, "%s: cannot make sense of %.100s, ignored", name, value);
    buf_put_str(&o->complaints, text);
}

static void read_environment(struct options *o) {
    const char *value = getenv("HEAPTIDE_OUTPUT");
    if (value && *value) o->output = value;
    value = getenv("HEAPTIDE_EXACT");
    o->exact = value && !strcmp(value, "1");
    value = getenv("HEAPTIDE_SAMPLE");
    if (value && *value) o->sample = value;
    value = getenv("HEAPTIDE_EVERY");
    if (value && *value && !parse_duration(value, &o->every_ns)) complain(o, "HEAPTIDE_EVERY", value);
    value = getenv("HEAPTIDE_BUDGET");
    if (value && *value && !parse_size(value, &o->budget)) complain(o, "HEAPTIDE_BUDGET", value);
    value = getenv("HEAPTIDE_CHILDREN");
    o->children = !value || strcmp(value, "0") != 0;
    value = getenv("HEAPTIDE_SIGNAL");
    int number = 0;
    if (value && *value && !parse_signal(value, &number)) complain(o, "HEAPTIDE_SIGNAL", value);
    if (number) o->signal = number;
}

// ---- The command line: a mistake ends it -------------------------------------------------------------------------------

static bool take_option(struct options *o, int option, const char *value) {
    uint64_t size;
    switch (option) {
    case 'o': o->output = value; return *value;
    case OPT_EXACT: o->exact = true; return true;
    case OPT_SAMPLE: o->sample = value; return parse_size(value, &size) && size > 0;
    case OPT_EVERY: return parse_duration(value, &o->every_ns) && o->every_ns > 0;
    case OPT_BUDGET: return parse_size(value, &o->budget);
    case OPT_NO_CHILDREN: o->children = false; return true;
    case OPT_AGENT: o->agent = value; return *value;
    case OPT_PROGRAM: o->program = value; return *value;
    case OPT_FOLLOW: o->form = FORM_FOLLOW; return true;
    case OPT_LISTEN_FD: return parse_number(value, &o->listen_fd);
    case OPT_SERVE: o->form = FORM_SERVE; return true;
    case OPT_CONTROL_FD: return parse_number(value, &o->control_fd);
    case OPT_CLOCK_FD: return parse_number(value, &o->clock_fd);
    case OPT_ARM:
    case OPT_DISARM:
        o->form = FORM_ORDER;
        o->order_armed = option == OPT_ARM ? HT_ARMED : HT_DISARMED;
        return parse_pid(value, &o->order_pid);
    default: return false;
    }
}

static int complain_usage(const char *what) {
    say("%s; `heaptide-record --help` shows what there is", what);
    return STATUS_FAILED;
}

static int read_arguments(struct options *o, int argc, char **argv) {
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "+o:h", LONG_OPTIONS, &index)) != -1) {
        if (option == OPT_HELP || option == 'h') {
            fputs(HELP, stdout);
            return fflush(stdout) ? STATUS_FAILED : 0;
        }
        if (option == OPT_VERSION) return puts("heaptide-record " HT_VERSION) < 0 || fflush(stdout);
        if (option == '?') return STATUS_FAILED; // getopt has said it
        if (!take_option(o, option, optarg)) {
            char text[256];
            snprintf(text, sizeof text, "--%s: cannot make sense of %.100s",
                     option == 'o' ? "output" : LONG_OPTIONS[index].name, optarg ? optarg : "it");
            return complain_usage(text);
        }
    }
    o->command = argv + optind;
    if (o->form == FORM_COMMAND && !*o->command) return complain_usage("no COMMAND");
    if (o->form != FORM_COMMAND && *o->command) return complain_usage("a COMMAND makes no sense here");
    if (o->form == FORM_FOLLOW && o->listen_fd < 0) return complain_usage("--follow needs --listen-fd");
    return -1;
}

int options_init(struct options *o, int argc, char **argv) {
    *o = (struct options){.output = "{name}.{pid}.tide",
                          .program = "program",
                          .signal = SIGUSR1,
                          .budget = 64 << 20,
                          .listen_fd = -1,
                          .control_fd = -1,
                          .clock_fd = -1,
                          .children = true};
    read_environment(o);
    int status = read_arguments(o, argc, argv);
    if (o->every_ns) o->every_ns = max_u64(o->every_ns, LEAST_EVERY_NS);
    return status;
}

void options_deinit(struct options *o) { buf_deinit(&o->complaints); }
