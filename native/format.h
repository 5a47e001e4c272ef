// SPDX-License-Identifier: Apache-2.0
// format.h: THE layout of the capture, NAME.PID.tide. src/heaptide/capture/format.py mirrors it; a test holds them equal.
//
// A capture is struct ht_file_header, then records, appended. Little-endian, everything naturally aligned, records padded
// with zeros to 8 bytes. Each record carries its length and a checksum, and begins with a mark by
// which a reader finds the next record behind damage. A record is written by one write(); a file that ends inside a
// record is read up to there. The writer holds an exclusive flock() on the file while it lives: a file without an END
// record on which a shared lock can be had was cut short.
//
// What was written is never changed in its place. When the file has reached its budget, a shorter one is written beside it
// and takes its name: fewer snapshots of the past, everything else as it was. Who follows a capture by a descriptor sees
// the old file, unlinked, to its end, and opens the name again (docs/design/0004-the-budget.md).
//
// History (change the layout, raise the version, add a line)
//   1  2026-11  first: PROCESS MODULE UNLOAD STACKS SNAPSHOT MEMORY AGENT NOTE END
//   2  2026-11  PACKED in SNAPSHOT's place; a past that is thinned; AGES, and figures by stack in MEMORY
#ifndef HEAPTIDE_FORMAT_H
#define HEAPTIDE_FORMAT_H

#include <stdint.h>

#define HT_FILE_MAGIC "HEAPTIDE"
#define HT_FORMAT_VERSION 2u
#define HT_RECORD_MARK 0x45444954u // "TIDE"
#define HT_MAX_RECORD (256u << 20) // a larger length is damage

struct ht_file_header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes; // sizeof(struct ht_file_header): where the first record begins
    uint64_t created_realtime_ns;
    uint64_t reserved;
};
_Static_assert(sizeof(struct ht_file_header) == 32, "layout");

struct ht_record {
    uint32_t mark; // HT_RECORD_MARK
    uint32_t crc;  // CRC-32 (zlib's) over the 8 bytes of type, sequence, length and then the payload without padding
    uint16_t type; // enum ht_record_type
    uint16_t
        sequence;    // of the record in the file, from 0, modulo 2^16: a record that is gone without a trace is missed
    uint32_t length; // payload bytes; the next record begins at the next multiple of 8
};
_Static_assert(sizeof(struct ht_record) == 16, "layout");

enum ht_record_type {
    HT_REC_PROCESS = 1,
    HT_REC_MODULE = 2,
    HT_REC_UNLOAD = 3,
    HT_REC_STACKS = 4,
    HT_REC_SNAPSHOT = 5,
    HT_REC_MEMORY = 6,
    HT_REC_AGENT = 7,
    HT_REC_NOTE = 8,
    HT_REC_END = 9,
    HT_REC_PACKED = 10,
    HT_REC_AGES = 11,
};

// PROCESS: once, the first record. Strings follow the struct, each NUL-terminated, in this order: exe, cwd, hostname,
// kernel release, agent version, recorder version, machine (as `uname -m`), then argc arguments.
struct ht_rec_process {
    int32_t pid;
    int32_t parent_pid;
    uint32_t uid;
    uint32_t mode;                // 1 sampled, 2 exact (enum ht_mode)
    uint64_t process_start_ticks; // field 22 of /proc/PID/stat, in clock ticks since boot
    uint64_t ticks_per_second;
    uint64_t started_realtime_ns; // when recording began, both clocks at the same moment
    uint64_t started_boottime_ns;
    uint64_t interval; // sampled: mean interval at the start, bytes; exact: 1
    uint32_t flags;    // enum ht_header_flag of books.h
    uint32_t page_bytes;
    uint32_t cpus;
    uint32_t argc;
};
_Static_assert(sizeof(struct ht_rec_process) == 72, "layout");

// MODULE: before the first stack that has an address in it. A stack's addresses are looked up among the modules that
// were recorded and not unloaded before its STACKS record; a module that overlaps an older one replaces it.
// After the struct: phnum x struct ht_rec_phdr, build_id_bytes bytes, path_bytes bytes (no NUL, no padding between).
struct ht_rec_module {
    uint32_t module; // number, from 1
    uint32_t flags;  // 1 main program, 2 heaptide's agent, 4 vdso, 8 the next allocator in line
    uint64_t start, end;
    uint64_t bias;
    uint64_t seen_boottime_ns;
    uint32_t phnum;
    uint32_t build_id_bytes;
    uint32_t path_bytes;
    uint32_t reserved;
};
_Static_assert(sizeof(struct ht_rec_module) == 56, "layout");
struct ht_rec_phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct ht_rec_phdr) == 48, "layout");

struct ht_rec_unload {
    uint32_t module;
    uint32_t reserved;
    uint64_t boottime_ns;
};
_Static_assert(sizeof(struct ht_rec_unload) == 16, "layout");

// STACKS: `count` stacks, each once in the whole file. Each is LEB128 varints: id - previous id in this record (zigzag; the
// previous id begins at 0), flags (enum ht_stack_flag), keep = how many root-most frames it shares with the stack before it
// in this record, n = number of further frames, then n addresses from the root towards the leaf, each as zigzag(pc -
// previous pc in this stack, root-ward; the one before the first is the last kept one, or 0). Addresses are return
// addresses (pc + 1 where a signal interrupted): pc - 1 lies inside the instruction meant, for every frame.
struct ht_rec_stacks {
    uint32_t count;
    uint32_t reserved;
};

// SNAPSHOT, in version 1: the counters that changed since the last snapshot in this file. Values are totals since recording
// began, not differences, so a lost record spoils only what it held. After the struct come `columns` columns of `count` values each,
// sorted by id. A column: uint8 width (1, 2, 4 or 8), 7 bytes zero, then count little-endian unsigned values of that width,
// padded to 8. Column 0 holds the stack ids; then, exact: alloc_bytes, alloc_objects, free_bytes, free_objects;
// sampled: the same four (objects in 1/65536), alloc_variance, free_variance (IEEE doubles, width 8), alloc_samples,
// free_samples. Ids below 16 are the special ids of books.h.
enum ht_snapshot_kind {
    HT_SNAP_START = 1,
    HT_SNAP_TIME = 2,
    HT_SNAP_GROWTH = 3,
    HT_SNAP_SIGNAL = 4,
    HT_SNAP_SHUTDOWN = 5, // as it stood when main returned or exit was called
    HT_SNAP_EXIT = 6,     // the program is gone: the last word
};
enum ht_snapshot_flag {
    HT_SNAPF_LATE = 1,    // the cut waited for a thread that did not run
    HT_SNAPF_KILLED = 2,  // the program ended inside operations: at most one per thread may be half counted
    HT_SNAPF_GAP = 4,     // an earlier snapshot could not be written; its changes are in this one
    HT_SNAPF_PARTIAL = 8, // only the heavy stacks are in it; what the others did comes with the next one that is whole
};
struct ht_rec_snapshot {
    uint32_t number; // from 1
    uint16_t kind;
    uint16_t flags;
    uint64_t realtime_ns;
    uint64_t boottime_ns;
    uint64_t interval; // as in PROCESS, at this moment
    uint32_t columns;  // with the id column
    uint32_t reserved;
    uint64_t count;
};
_Static_assert(sizeof(struct ht_rec_snapshot) == 48, "layout");

// PACKED: the same, in a third of the space. After the struct come snapshot.columns columns of snapshot.count values each,
// sorted by id: the ids, each as its distance to the one before (the first's to 0); then alloc_bytes, in-use bytes,
// alloc_objects, in-use objects; sampled: the same four (objects in 1/65536), alloc_variance, in-use variance,
// alloc_samples, in-use samples. In use is what was allocated less what was freed, modulo 2^64. Variances are doubles, or
// floats by a width of 4; in-use ones are not below zero. A column is struct ht_column, then the low `width` bytes of each
// value, padded to 8, then for the few values that do not fit (0 stands in their place) uint32 rows, padded to 8, and
// uint64 values.
struct ht_column {
    uint8_t width; // 0 to 8 bytes; 0: all are zero but the exceptions
    uint8_t zero[3];
    uint32_t exceptions;
};
_Static_assert(sizeof(struct ht_column) == 8, "layout");
enum ht_account { HT_ACCOUNT_BLOCKS, HT_ACCOUNT_MAPPINGS, HT_ACCOUNTS }; // HT_STACK_MMAP tells them apart
struct ht_rec_packed {
    struct ht_rec_snapshot snapshot;
    uint32_t thinned; // so many snapshots before it were taken out of the file; what changed in them is in this one
    uint32_t reserved;
    uint64_t in_use_bytes[HT_ACCOUNTS]; // over all stacks, those that are not in it (HT_SNAPF_PARTIAL) included
    uint64_t alloc_bytes[HT_ACCOUNTS];
    uint64_t low_bytes; // in use, blocks: the least and the most at any snapshot since the one before in this file
    uint64_t high_bytes;
};
_Static_assert(sizeof(struct ht_rec_packed) == 104, "layout");

// MEMORY: the process's figures, each with its own time. After the struct: count x struct ht_rec_figure.
// Which file a figure is from is in its key's hundreds: statm 1xx, status 2xx, cgroup 3xx, smaps_rollup 4xx;
// 5xx the recorder works out; meminfo 6xx. Bytes unless said.
enum ht_figure_key {
    HT_FIG_STATM_SIZE = 101,
    HT_FIG_STATM_RESIDENT = 102,
    HT_FIG_STATM_SHARED = 103,
    HT_FIG_STATM_DATA = 106,
    HT_FIG_VM_HWM = 201,
    HT_FIG_VM_RSS = 202,
    HT_FIG_RSS_ANON = 203,
    HT_FIG_RSS_FILE = 204,
    HT_FIG_RSS_SHMEM = 205,
    HT_FIG_VM_DATA = 206,
    HT_FIG_VM_STK = 207,
    HT_FIG_VM_EXE = 208,
    HT_FIG_VM_LIB = 209,
    HT_FIG_VM_PTE = 210,
    HT_FIG_VM_SWAP = 211,
    HT_FIG_THREADS = 212, // a count
    HT_FIG_CGROUP_CURRENT = 301,
    HT_FIG_CGROUP_MAX = 302,      // 2^64 - 1: no limit
    HT_FIG_CGROUP_OOM_KILL = 303, // a count
    HT_FIG_ROLLUP_RSS = 401,
    HT_FIG_ROLLUP_PSS = 402,
    HT_FIG_ROLLUP_SHARED_CLEAN = 403,
    HT_FIG_ROLLUP_SHARED_DIRTY = 404,
    HT_FIG_ROLLUP_PRIVATE_CLEAN = 405,
    HT_FIG_ROLLUP_PRIVATE_DIRTY = 406,
    HT_FIG_ROLLUP_ANONYMOUS = 407,
    HT_FIG_ROLLUP_ANON_HUGE = 408,
    HT_FIG_ROLLUP_SWAP = 409,
    HT_FIG_ROLLUP_LOCKED = 410,
    HT_FIG_ROLLUP_READ_NS = 499, // how long reading it took

    // Whose the resident pages are (5xx), all read together, page by page. RSS is statm's at that moment.
    HT_FIG_PART_HEAP = 501,   // mappings of the allocator: blocks, free memory and its books
    HT_FIG_PART_MAPPED = 502, // mappings that the program made itself, by stack
    HT_FIG_PART_STACKS = 503,
    HT_FIG_PART_CODE = 504,  // the program and its libraries
    HT_FIG_PART_FILES = 505, // other mapped files
    HT_FIG_PART_SHARED = 506,
    HT_FIG_PART_AGENT = 507,
    HT_FIG_PART_OTHER = 508,   // anonymous and nobody's: the loader's, mostly
    HT_FIG_PART_SWAPPED = 509, // of all of them; not resident
    HT_FIG_PART_RSS = 510,
    // Estimates from the blocks in use that were drawn as samples; errors are standard errors.
    HT_FIG_SAMPLED_BYTES = 521, // of what was requested: to hold against the counters
    HT_FIG_ROUNDING = 522,      // what the allocator takes for a block, less what was requested
    HT_FIG_ROUNDING_ERROR = 523,
    HT_FIG_ABSENT = 524, // requested and not resident, by stack
    HT_FIG_ABSENT_ERROR = 525,
    HT_FIG_HELD_ERROR = 526,   // of all that the allocator takes for blocks and that is resident
    HT_FIG_PART_READ_NS = 599, // CPU time that all this took the recorder

    HT_FIG_MACHINE_TOTAL = 601,
    HT_FIG_MACHINE_AVAILABLE = 602, // without swapping, as the kernel estimates it
};
struct ht_rec_memory {
    uint32_t snapshot; // the number of the snapshot it was read beside
    uint32_t count;
};
struct ht_rec_figure {
    uint32_t key;
    uint32_t id; // the stack that it is of; 0: of the process
    uint64_t boottime_ns;
    uint64_t value;
};
_Static_assert(sizeof(struct ht_rec_figure) == 24, "layout");

// AGES: what is in use by when it was allocated, estimated from the live samples: survivors. After the struct: count x struct
// ht_rec_age, ascending by id and then by birth. A birth is the number of the first snapshot that can hold the block, rounded
// up to a multiple of `step` (and no later than `snapshot`): those with born <= N were alive at N, or before, already.
struct ht_rec_ages {
    uint32_t snapshot; // beside which it was written; one that was thinned since may be gone
    uint32_t count;
    uint32_t step; // from 1 on
    uint32_t reserved;
    uint64_t boottime_ns;
    uint64_t left_out_bytes; // of stacks that hold too little for a row
};
_Static_assert(sizeof(struct ht_rec_ages) == 32, "layout");
struct ht_rec_age {
    uint32_t id;
    uint32_t born;
    uint64_t bytes; // estimates
    float variance; // of bytes
    float objects;
};
_Static_assert(sizeof(struct ht_rec_age) == 24, "layout");

// AGENT: what the tool itself cost and lost, beside a snapshot when something changed, and once before END.
struct ht_rec_agent {
    uint32_t snapshot;
    uint32_t reserved;
    uint64_t losses[32]; // enum ht_loss of books.h
    uint64_t memory[8];  // enum ht_memory_kind of books.h
    uint64_t stacks;     // ids given out
    uint64_t recorder_cpu_ns;
    uint64_t recorder_rss_bytes;
    uint64_t bad_options; // bits by line of options.def
};
_Static_assert(sizeof(struct ht_rec_agent) == 8 + 32 * 8 + 8 * 8 + 32, "layout");

// NOTE: text for people: uint32 severity (1 said, 2 warning: numbers are affected), uint32 zero, UTF-8 text.
struct ht_rec_note {
    uint32_t severity;
    uint32_t reserved;
};

// END: the last record of a capture that was finished.
enum ht_end_cause {
    HT_END_UNKNOWN = 0,  // gone; the recorder was not its parent and cannot know how
    HT_END_EXITED = 1,   // status = exit status
    HT_END_KILLED = 2,   // status = signal
    HT_END_EXEC = 3,     // the image was replaced by another program
    HT_END_RECORDER = 4, // the recorder was told to stop; the program may run on
    HT_END_BOOKS = 5,    // the books were damaged or refused
};
struct ht_rec_end {
    uint32_t cause;
    int32_t status;
    uint64_t realtime_ns;
    uint64_t boottime_ns;
    uint64_t oom_kills; // change of the cgroup's memory.events oom_kill while recording
};
_Static_assert(sizeof(struct ht_rec_end) == 32, "layout");

#endif
