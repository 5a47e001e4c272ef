// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "agent.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "compat_gperftools.h"
#include "live.h"
#include "live_samples.h"
#include "mapping.h"
#include "modules.h"
#include "own.h"
#include "real.h"
#include "record.h"
#include "sample.h"
#include "stacks.h"
#include "unwind.h"

struct ht_options ht_options;
static bool recorder_wanted, has_recorder;

bool ht_agent_has_recorder(void) { return has_recorder; }

// ---- One recording --------------------------------------------------------------------------------------------------------

static void plan(struct ht_books_plan *ret, bool shared, bool fork_child) {
    bool exact = (ht_options.exact.set && ht_options.exact.value) || ht_options.heapprofile.set || !shared;
    bool adaptive = !exact && !ht_options.sample.set;
    int64_t interval = exact ? 1 : adaptive ? HT_INTERVAL_FIRST : ht_options.sample.value;
    *ret = (struct ht_books_plan){
        .mode = exact ? HT_MODE_EXACT : HT_MODE_SAMPLED,
        .flags = (adaptive ? HT_FLAG_ADAPTIVE : 0) | (fork_child ? HT_FLAG_FORK_CHILD : 0) |
                 (ht_options.heapprofile.set ? HT_FLAG_HEAPPROFILE : 0) |
                 (shared && ht_options.armed.set && !ht_options.armed.value ? HT_FLAG_DISARMED : 0) |
                 (ht_sys_membarrier_register() ? HT_FLAG_MEMBARRIER : 0),
        .interval = (uint64_t)(interval < 1 ? 1 : interval),
        .shared = shared,
        .parent_pid = (int32_t)ht_sys_getppid(),
    };
}

static bool prepare(void) {
    ht_real_find_allocator();
    return ht_gate_init() && ht_threads_init() && ht_unwind_init() && ht_modules_init();
}

static void open_gate(struct ht_books *b) {
    b->header->bad_options = ht_options.bad;
    if (ht_options.bad) ht_books_lose(b, HT_LOSS_OPTION, (uint64_t)__builtin_popcount(ht_options.bad));
    __atomic_store_n(&ht_gate->phase, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&ht_gate->books, b, __ATOMIC_SEQ_CST);
    for (int kind = 0; kind < HT_MEMORY_COUNT; kind++) ht_memory_used((enum ht_memory_kind)kind, 0);
    ht_tls.left = 0; // this thread at once; others within HT_DORMANT_BYTES
    ht_tls.interval = 0;
}

static uint64_t map_limit(void) { return ht_options.map_limit.set ? (uint64_t)ht_options.map_limit.value : 0; }

static bool start(const struct ht_books_plan *p, const char *address) {
    struct ht_books *b = ht_books_create(p);
    if (!b) return false;
    ht_live_samples_init();
    bool ready = ht_stacks_init() && ht_live_init(p->mode, !b->starts_disarmed, map_limit());
    bool for_recorder = address && (!ht_options.mmap.set || ht_options.mmap.value);
    if (for_recorder || ht_heapprofile_wants_mappings()) ht_mapping_on = ht_mapping_init(b);
    if (ready && address) ready = ht_books_hand_over(b, address) == 0;
    if (!ready) {
        ht_books_destroy(b);
        return false;
    }
    has_recorder = address != NULL;
    if (has_recorder) ht_own_tell(b);
    open_gate(b);
    return true;
}

static void begin_fork_child(void);

static void follow_forks(void) {
    static bool done;
    if (!done) done = pthread_atfork(NULL, NULL, begin_fork_child) == 0;
}

bool ht_agent_start_private(void) {
    struct ht_books_plan p;
    if (ht_books_now() || !prepare()) return false;
    ht_stacks_keep();
    plan(&p, false, false);
    follow_forks();
    return start(&p, NULL);
}

// The books stay: another thread may be inside an operation.
void ht_agent_stop_private(void) { __atomic_store_n(&ht_gate->books, NULL, __ATOMIC_SEQ_CST); }

void ht_agent_shutdown_begins(void) {
    struct ht_books *b = ht_books_now();
    if (b && has_recorder) ht_books_mark_shutdown(b);
}

// ---- The recorder -----------------------------------------------------------------------------------------------------------

enum { ADDRESS_BYTES = 48 };
static char address_variable[32 + ADDRESS_BYTES] = "HEAPTIDE_SOCKET=";

static char *hex(char *to, uint64_t value) {
    for (int shift = 60; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[value >> shift & 15];
    return to;
}

static bool beside_us(const char *name, char *ret, size_t bytes) {
    Dl_info info;
    if (!dladdr((const void *)(uintptr_t)&beside_us, &info) || !info.dli_fname) return false;
    const char *slash = strrchr(info.dli_fname, '/');
    size_t folder = slash ? (size_t)(slash + 1 - info.dli_fname) : 0;
    if (folder + strlen(name) + 1 > bytes) return false;
    memcpy(ret, info.dli_fname, folder);
    strcpy(ret + folder, name);
    return true;
}

static const char *recorder_path(char *space, size_t bytes) {
    if (ht_options.recorder.set) return ht_options.recorder.value;
    return beside_us("heaptide-record", space, bytes) ? space : NULL;
}

// The recorder must not be recorded: its environment is ours without the preload, and with the switch off.
static char **environment_of_recorder(char **space, size_t count) {
    static char off[] = "HEAPTIDE_OFF=1";
    size_t n = 0;
    space[n++] = off;
    for (char **e = environ; *e && n + 1 < count; e++)
        if (strncmp(*e, "LD_PRELOAD=", 11) != 0 && strncmp(*e, "HEAPTIDE_OFF=", 13) != 0) space[n++] = *e;
    space[n] = NULL;
    return space;
}

static bool run_recorder(int listener) {
    enum { VARIABLES = 4096 };
    char path[4096], number[12], *end = number + sizeof number;
    const char *program = recorder_path(path, sizeof path);
    char **environment = ht_sys_map(VARIABLES * sizeof *environment);
    if (!program || !environment) return false;
    *--end = 0;
    for (int n = listener; n || !*end; n /= 10) *--end = (char)('0' + n % 10);
    char *argv[] = {(char *)(uintptr_t)program, "--follow", "--listen-fd", end, NULL};
    long r = ht_sys_start_detached(program, argv, environment_of_recorder(environment, VARIABLES), listener);
    ht_sys_unmap(environment, VARIABLES * sizeof *environment);
    return r == 0;
}

// A program that waits for children it does not know would see the recorder: PID 1 and subreapers inherit orphans.
static bool inherits_orphans(void) {
    int subreaper = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
    return ht_sys_getpid() == 1 || subreaper;
}

// Preloaded alone: starts the recorder beside the program. The socket listens before it runs, so nobody waits for it.
static const char *start_recorder(void) {
    if (inherits_orphans()) return NULL;
    char *address = address_variable + strlen(address_variable);
    strcpy(address, "@heaptide-");
    *hex(hex(address + 10, ht_sys_random()), ht_sys_random()) = 0;
    long listener = ht_sys_listen(address);
    if (listener < 0) return NULL;
    bool running = run_recorder((int)listener);
    ht_sys_close((int)listener);
    if (!running) return NULL;
    putenv(address_variable); // what this program executes registers with the same recorder
    return address;
}

static const char *address_of_recorder(void) {
    if (ht_options.socket.set) return ht_options.socket.value;
    return ht_options.output.set ? start_recorder() : NULL;
}

// Our entry stands in front, where `run` has put it. Edited in place, for setenv would allocate.
static void leave_preload_list(void) {
    Dl_info us;
    char *list = getenv("LD_PRELOAD");
    if (!list || !dladdr((const void *)leave_preload_list, &us)) return;
    size_t n = strlen(us.dli_fname);
    if (strncmp(list, us.dli_fname, n) != 0) return;
    if (!list[n]) unsetenv("LD_PRELOAD");
    if (list[n] == ':' || list[n] == ' ') memmove(list, list + n + 1, strlen(list + n + 1) + 1);
}

// They find the environment as it was before us: some programs (with AddressSanitizer) do not even start with a library
// preloaded, asleep though it be.
static void leave_executed_children_alone(void) {
    char **to = environ;
    for (char **from = environ; from && *from; from++)
        if (strncmp(*from, "HEAPTIDE_", 9) != 0) *to++ = *from;
    if (to) *to = NULL;
    leave_preload_list();
}

// ---- Life -------------------------------------------------------------------------------------------------------------------

static bool follows_children(void) { return !ht_options.children.set || ht_options.children.value; }

static char recorder_address[108];

// Called in a fork child as well, which must not repeat its parent's draws.
static void choose_seed(void) {
    ht_record_seed(ht_options.seed.set ? (uint64_t)ht_options.seed.value : ht_sys_random());
}

static void begin_fork_child(void) {
    struct ht_books_plan p;
    bool private = ht_heapprofile_is_on(); // before the gate, which this child reads as shut, opens again
    if (ht_tls.thread && ht_tls.thread->books) ht_books_stand_in(ht_tls.thread->books);
    ht_threads_after_fork();
    ht_modules_forget();
    ht_unwind_flush();
    if (private) ht_heapprofile_after_fork();
    if (!follows_children() || (!recorder_wanted && !private)) return;
    choose_seed();
    plan(&p, recorder_wanted, true);
    start(&p, recorder_wanted ? recorder_address : NULL);
}

static bool is_switched_off(void) {
    return getauxval(AT_SECURE) || (ht_options.off.set && ht_options.off.value) ||
           ht_sys_access("/etc/heaptide.off", F_OK) == 0;
}

static bool start_shared(void) {
    const char *address = address_of_recorder();
    if (!address || strlen(address) >= sizeof recorder_address || !prepare()) return false;
    strcpy(recorder_address, address);
    struct ht_books_plan p;
    plan(&p, true, false);
    return start(&p, address);
}

__attribute__((constructor)) static void begin(void) {
    ht_own_begin();
    ht_real_init();
    ht_mapping_find_next();
    ht_options_read(&ht_options);
    if (is_switched_off()) {
        ht_options = (struct ht_options){0};
        return;
    }
    recorder_wanted = ht_options.socket.set || ht_options.output.set;
    if (!recorder_wanted && !ht_options.heapprofile.set) return;
    ht_sys_learn_thread_id();
    choose_seed();
    if (ht_options.heapprofile.set) {
        ht_stacks_keep();
        ht_heapprofile_name();
    }
    if (recorder_wanted) recorder_wanted = start_shared();
    if (ht_options.heapprofile.set) ht_heapprofile_begin();
    if (!ht_books_now()) return;
    ht_modules_log_all();
    if (!follows_children()) leave_executed_children_alone();
    follow_forks();
}

__attribute__((destructor)) static void end(void) { ht_heapprofile_end(); }
