// SPDX-License-Identifier: Apache-2.0
// books.h: THE layout of the shared memory between agent and recorder.
//
// The agent creates one memfd per process image, lays it out as below, and hands it to the recorder in one datagram
// (struct ht_hello). From then on the two share nothing else. Change the layout and raise HT_BOOKS_VERSION: agent and
// recorder come from one build, and a recorder refuses books of another version.
//
//   offset 0            struct ht_books_header   written by the agent (the recorder maps it read-only)
//   HT_CONTROL_OFFSET   struct ht_control        written by the recorder, read by the agent
//   lanes_offset        lane_count lanes, lane_stride bytes apart: struct ht_lane, then uint32_t group_page[group_count]
//   log_offset          log_size bytes: a ring of struct ht_log_entry
//   own_offset          own_slots x struct ht_range: the agent's own memory in the program
//   regions_offset      region_slots x struct ht_range: what the program mapped itself, by stack
//   samples_offset      sample_slots x struct ht_live_sample: blocks that are in use now
//   pool_offset         pool_pages pages of HT_PAGE bytes, given out from the front, never given back
//
// The three tables may be absent (no slots). Their pages come as they are first used.
//
// Counters. A lane is a set of counters that one thread at a time adds to (lane 0: any number, with locked adds). The
// counters of stack ID live in group ID >> HT_GROUP_SHIFT of each lane. A group is HT_BUFFERS runs of pages in the pool,
// one run per buffer, each with 1 << HT_GROUP_SHIFT counters of 1 << slot_shift bytes:
//
//   group_page[g] = P (0: this lane never touched the group)
//   counter(lane, buffer, ID) = pool_offset + (P - 1 + buffer * pages_per_run) * HT_PAGE + (ID & 127) << slot_shift
//   pages_per_run = (1 << HT_GROUP_SHIFT << slot_shift) / HT_PAGE           (P is 1-based so that zero means none)
//
// Counters only ever rise. Buffers 0 and 1 take turns with the epoch (see struct ht_control). When the program begins
// its ordinary shutdown (main returned, or exit was called) the agent moves for good to buffers 2 and 3. Hence
//   what was in use before the shutdown = buffers 0 + 1,    at the very end = buffers 0 + 1 + 2 + 3.
//
// An operation (agent):   seq odd -> load epoch -> add to buffer (epoch & 1) | phase -> seq even
// A cut (recorder):       epoch + 1 -> membarrier -> wait until no lane is still inside an operation that began before
//                         -> the buffer of the old epoch is at rest until the next cut: read it, keep a copy.
//                         The other buffer's value at this cut is the copy kept from the cut before.
#ifndef HEAPTIDE_BOOKS_H
#define HEAPTIDE_BOOKS_H

#include <stdint.h>

#define HT_BOOKS_MAGIC 0x534b4f4f42544841ull // "AHTBOOKS"
#define HT_BOOKS_VERSION 2u
#define HT_PAGE 4096u
#define HT_CONTROL_OFFSET HT_PAGE
#define HT_GROUP_SHIFT 7u
#define HT_BUFFERS 4u
#define HT_MAX_DEPTH 1024u // frames per stack; deeper stacks are cut at the root and flagged

enum ht_mode { HT_MODE_SAMPLED = 1, HT_MODE_EXACT = 2 };

// Stack ids below HT_FIRST_STACK_ID name no stack; what is counted under them is said in reports by these names.
enum ht_special_id {
    HT_ID_NONE = 0,       // never counted
    HT_ID_LOG_FULL = 1,   // the log of new stacks was full; the stack is retried at its next allocation
    HT_ID_NESTED = 2,     // a signal handler allocated while this thread was capturing a stack
    HT_ID_NO_STACK = 3,   // not even the caller could be read
    HT_ID_TABLE_FULL = 4, // more distinct stacks than max_ids
    HT_ID_POOL_FULL = 5,  // no page left for this stack's counters
    HT_ID_FOLDED = 15,    // in captures alone: light stacks that the recorder folded into one, to keep to its budget
    HT_FIRST_STACK_ID = 16,
};

// Exact mode: slot_shift 5. Bytes are requested bytes.
struct ht_counter {
    uint64_t alloc_bytes;
    uint64_t alloc_objects;
    uint64_t free_bytes;
    uint64_t free_objects;
};
_Static_assert(sizeof(struct ht_counter) == 32, "layout");

// Sampled mode: slot_shift 6. A sample of a block of s requested bytes at interval T is kept with probability
// p = 1 - exp(-(s + 1) / T) and stands for s / p bytes and 1 / p objects (Horvitz-Thompson). Objects are in 1/65536.
// The variances are sums of s^2 (1 - p) / p^2 over the samples counted (bytes^2); the variance of what is in use is
// alloc_variance - free_variance.
struct ht_sampled_counter {
    uint64_t alloc_bytes;
    uint64_t alloc_objects_fp16;
    uint64_t free_bytes;
    uint64_t free_objects_fp16;
    double alloc_variance;
    double free_variance;
    uint32_t alloc_samples; // wraps: use differences
    uint32_t free_samples;
    uint64_t reserved;
};
_Static_assert(sizeof(struct ht_sampled_counter) == 64, "layout");

enum ht_loss {                  // uint64_t losses[HT_LOSS_COUNT] in the header: events, monotone
    HT_LOSS_LOG_FULL,           // new stacks that found the log full
    HT_LOSS_NESTED,             // stack captures skipped inside a signal handler
    HT_LOSS_TABLE_FULL,         // new stacks beyond max_ids
    HT_LOSS_POOL_FULL,          // operations counted under HT_ID_POOL_FULL
    HT_LOSS_LIVE_FULL,          // blocks counted as allocated whose free cannot be recognised (exact: at the cap)
    HT_LOSS_SAMPLE_TABLE_FULL,  // samples dropped because the table of live samples was full
    HT_LOSS_NO_MEMORY,          // mmap or populate failed
    HT_LOSS_UNKNOWN_FREE,       // exact: frees of blocks that were not recorded (allocated before recording began)
    HT_LOSS_UNKNOWN_FREE_BYTES, // usable, over glibc; elsewhere it stays 0
    HT_LOSS_DEPTH,              // stacks cut at HT_MAX_DEPTH
    HT_LOSS_UNWIND_GUESS,       // frames found by a frame-pointer step because there was no unwind information
    HT_LOSS_MISSED_FREE,        // blocks whose free went past us: counted as freed when their address came again
    HT_LOSS_OPTION,             // environment values that could not be read or were clamped (bits: header.bad_options)
    HT_LOSS_MAPPING,            // mappings that could not be recorded
    HT_LOSS_COUNT = 32,
};

enum ht_memory_kind {  // uint64_t memory[HT_MEMORY_COUNT] in the header: bytes of the agent's own, now
    HT_MEMORY_BOOKS,   // populated pages of the books
    HT_MEMORY_LIVE,    // live-block map or sample table (reserved; touched pages are fewer)
    HT_MEMORY_STACKS,  // stack hash table
    HT_MEMORY_THREADS, // per-thread state
    HT_MEMORY_UNWIND,  // rule cache, module table
    HT_MEMORY_COUNT = 8,
};

enum ht_header_flag {
    HT_FLAG_MEMBARRIER = 1,  // registered for MEMBARRIER_CMD_GLOBAL_EXPEDITED
    HT_FLAG_ADAPTIVE = 2,    // the sampling interval doubles as samples accumulate
    HT_FLAG_HEAPPROFILE = 4, // the program writes .heap files as well
    HT_FLAG_FORK_CHILD = 8,  // these books began in a fork child; parent_pid is the parent
    HT_FLAG_DISARMED = 32,   // HEAPTIDE_ARMED=0: nothing is recorded until the recorder's control page says so
};

struct ht_books_header {
    uint64_t magic; // written last, when the rest is valid
    uint32_t version;
    uint32_t header_bytes; // sizeof(struct ht_books_header)
    uint64_t total_bytes;
    uint32_t mode; // enum ht_mode
    uint32_t slot_shift;
    uint32_t lane_count;
    uint32_t lane_stride;
    uint64_t lanes_offset;
    uint32_t max_ids;
    uint32_t group_count; // max_ids >> HT_GROUP_SHIFT
    uint64_t log_offset;
    uint64_t log_size; // a power of two
    uint64_t pool_offset;
    uint64_t pool_pages;

    int32_t pid;
    int32_t parent_pid;
    uint64_t started_realtime_ns; // when recording began
    uint64_t started_boottime_ns; // CLOCK_BOOTTIME: goes on through suspend
    uint32_t flags;               // enum ht_header_flag
    uint32_t bad_options;         // bit i: option i of options.def had an unreadable value
    char agent_version[16];       // NUL-terminated
    uint64_t own_offset, regions_offset, samples_offset;
    uint32_t own_slots, region_slots, sample_slots;
    uint32_t reserved;

    // From here on the agent writes while the program runs (relaxed atomics).
    uint64_t interval;         // sampled: the mean interval new samples are drawn with, bytes; exact: 1
    uint64_t shutdown_mark_ns; // 0, or CLOCK_BOOTTIME when main returned or exit was called
    uint64_t next_id;          // ids given out so far + HT_FIRST_STACK_ID
    uint64_t log_head;         // bytes ever reserved in the log
    uint64_t pool_used;        // pages given out so far (may overshoot pool_pages)
    uint64_t lanes_used;       // lanes ever handed out: the recorder reads lanes [0, lanes_used)
    uint64_t own_used;         // slots ever used
    uint64_t regions_seq;      // odd while the regions change: what was copied meanwhile is none
    uint64_t regions_used;     // the first so many slots, ascending by address, without overlaps
    uint64_t samples_used;     // slots ever used
    uint64_t losses[HT_LOSS_COUNT];
    uint64_t memory[HT_MEMORY_COUNT];
};
_Static_assert(sizeof(struct ht_books_header) <= HT_PAGE, "the header is one page");

enum ht_armed {
    HT_AS_STARTED,
    HT_ARMED,
    HT_DISARMED
}; // allocations are recorded: yes unless HT_FLAG_DISARMED, yes, no

// A range of addresses. A slot of the agent's own that is not in use has start 0.
struct ht_range {
    uint64_t start, end;
    uint32_t id;        // regions: the stack that mapped it
    uint32_t is_object; // regions: the piece that stands for its mapping in the count of objects
};
_Static_assert(sizeof(struct ht_range) == 24, "layout");

// A block in use that was drawn as a sample: in sampled mode every one that is counted, in exact mode some, drawn in the same
// way beside the full count. Fields are written before the address, which says that they are valid.
struct ht_live_sample {
    uint64_t address; // 0: none here (any more)
    uint64_t size;    // requested bytes
    uint64_t bytes;   // that it stands for
    double variance;  // of those
    uint32_t id;
    uint32_t born;     // the low 32 bits of the epoch in which it was allocated
    uint32_t rounding; // what the allocator takes for it beyond `size`, as far as it tells
    uint32_t reserved;
};
_Static_assert(sizeof(struct ht_live_sample) == 48, "layout");

// A futex of the recorder's in the kernel's list of robust ones: when its thread dies, however, the kernel sets the bit.
enum { HT_RECORDER_DIED = 0x40000000 };
struct ht_alive {
    uint64_t next;   // the list, as the recorder's addresses
    uint32_t thread; // its id; 0: the recorder has not come yet
    uint32_t reserved;
};

struct ht_control { // the recorder's page
    uint64_t epoch;
    uint64_t log_ack;      // bytes of the log that are safely in the capture; the agent may re-use them
    uint64_t heartbeat_ns; // CLOCK_BOOTTIME, renewed at least once a second while the recorder lives
    uint64_t armed;        // enum ht_armed
    uint64_t interval;     // mean sampling interval, bytes; 0: as the agent decides
    struct ht_alive recorder;
};
_Static_assert(sizeof(struct ht_control) <= HT_PAGE, "the control page");

// One lane. seq: odd while the lane's thread is inside an operation (lanes 1 and up); each operation that ends adds one to
// reach the next even number, so a changed seq means that the operation seen before is over.
// inside: lane 0 only: number of threads inside an operation of epoch parity 0 and 1 (locked adds).
// The totals are sums over the lane's counters for cheap growth tests between cuts; they are not part of a cut.
struct ht_lane {
    uint64_t seq;
    uint64_t inside[2];
    uint64_t total_alloc_bytes;
    uint64_t total_free_bytes;
    uint64_t owner_tid; // 0: free to take; lane 0: never owned
    uint64_t reserved[2];
};
_Static_assert(sizeof(struct ht_lane) == 64, "a lane's hot words are one cache line; group_page[] follows");

// The log: new stacks and module changes, in order of discovery. Entries are 16-byte aligned and never wrap: a PAD entry
// fills the end of the ring. An entry is published by its stamp, written last with release; the stamp of an entry that
// begins at byte position POS (ever-rising, as log_head) is ht_log_stamp(POS), so an old lap's bytes never look valid.
// The reader takes entries from log_ack up to log_head, stops at the first that is not published (in a dead process it
// may scan on, 16 bytes at a time, for the next valid stamp), and acknowledges after its own write succeeded.
enum ht_log_type { HT_LOG_PAD = 1, HT_LOG_STACK = 2, HT_LOG_MODULE = 3, HT_LOG_UNLOAD = 4 };

struct ht_log_entry {
    uint32_t stamp;
    uint32_t bytes; // of the whole entry, a multiple of 16
    uint16_t type;
    uint16_t flags; // HT_LOG_STACK: enum ht_stack_flag
    uint32_t id;    // stack id, or module number (from 1, never re-used)
};
_Static_assert(sizeof(struct ht_log_entry) == 16, "layout");

static inline uint32_t ht_log_stamp(uint64_t pos) { return (uint32_t)(pos >> 4) * 2654435761u | 1u; }

enum ht_stack_flag {
    HT_STACK_TRUNCATED = 1, // cut at HT_MAX_DEPTH
    HT_STACK_GUESSED = 2,   // at least one frame-pointer step without unwind information
    HT_STACK_NO_CFI = 4,    // the walk ended at a pc without unwind information (and not at a declared outermost frame)
    HT_STACK_MMAP = 16,     // counts mappings that the program made itself; never mixed with blocks of the allocator
    HT_STACK_SIGNAL = 8,    // passes through a signal frame
};

// HT_LOG_STACK payload. pcs are leaf first: return addresses as found on the stack, and pc + 1 for a frame that a signal
// interrupted. So pc - 1 lies inside the instruction meant for every frame, the leaf included.
struct ht_log_stack {
    struct ht_log_entry entry;
    uint32_t depth;
    uint32_t reserved;
    uint64_t pcs[];
};

// HT_LOG_MODULE payload: phnum program headers of ht_phdr, then build_id_bytes bytes padded to 8, then path_bytes bytes of
// path (no NUL) padded to 8. The main program's path is what
// /proc/self/exe named at the start; empty where that could not be read, and then the recorder asks /proc/PID/exe.
struct ht_phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, filesz, memsz, align;
};

struct ht_log_module {
    struct ht_log_entry entry;
    uint64_t start, end; // mapped range [start, end)
    uint64_t bias;       // runtime address = bias + vaddr of the file
    uint64_t seen_boottime_ns;
    uint32_t phnum;
    uint32_t build_id_bytes;
    uint32_t path_bytes;
    uint32_t flags; // enum ht_module_flag
};
enum ht_module_flag { HT_MODULE_MAIN = 1, HT_MODULE_AGENT = 2, HT_MODULE_VDSO = 4, HT_MODULE_ALLOCATOR = 8 };

// Registration: one SOCK_SEQPACKET connection to the recorder's address, one message of this struct with SCM_RIGHTS
// [memfd] or [memfd, open file on /proc/self/smaps_rollup], then the agent closes and awaits nothing. The address is in
// HEAPTIDE_SOCKET: "@name" in the abstract name space, or a path.
#define HT_HELLO_MAGIC 0x4f4c4c4548544841ull // "AHTHELLO"
struct ht_hello {
    uint64_t magic;
    uint32_t version; // HT_BOOKS_VERSION
    int32_t pid;      // must agree with SO_PEERCRED
    uint64_t books_bytes;
};
_Static_assert(sizeof(struct ht_hello) == 24, "layout");

// The switch: `heaptide-record --arm PID` and --disarm send this to each recorder of the machine, one connection each. The one
// that records PID does it and answers one byte, HT_ORDER_DONE; the others close.
#define HT_ORDER_MAGIC 0x524544524f544841ull // "AHTORDER"
enum { HT_ORDER_DONE = 1 };
struct ht_order {
    uint64_t magic;
    uint32_t version; // HT_BOOKS_VERSION
    int32_t pid;
    uint64_t armed;    // enum ht_armed
    uint64_t interval; // as in struct ht_control
};
_Static_assert(sizeof(struct ht_order) == 32, "layout");

#endif
