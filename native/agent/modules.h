// SPDX-License-Identifier: Apache-2.0
// modules.h: the loaded objects, written into the log when an address in them is first met. No dlopen is wrapped: a frame
// of ours in between would change which RUNPATH applies.
#ifndef HEAPTIDE_MODULES_H
#define HEAPTIDE_MODULES_H

#include "../sys.h"

struct ht_module_lookup {
    bool found;               // some loaded object holds the address
    bool known;               // and it stands in the log (or there is none to stand in)
    const void *eh_frame_hdr; // its unwind table, or NULL
};

bool ht_modules_init(void);    // false: no memory
void ht_modules_log_all(void); // what is loaded now; takes the loader's lock: from the constructor only
void ht_modules_forget(void);  // a fork child's log begins empty
void ht_modules_closed(void);  // after a dlclose
void ht_modules_left(void);    // this thread left a capture by longjmp

// Lock-free, allocates nothing. `pc` may be any address.
void ht_modules_lookup(uint64_t pc, struct ht_module_lookup *ret);

// Where the object that holds `pc` begins; 0: none, or it cannot be known without a lock.
uint64_t ht_modules_start_of(uint64_t pc);

// Where a library lies over another that was closed, its addresses mean other functions than before. A stack is known by what
// its addresses mean: by themselves but for a salt, which depends on the library.
extern bool ht_modules_reused __attribute__((visibility("hidden"))); // somewhere
HT_COLD uint64_t ht_modules_salt_of(uint64_t pc);
static inline uint64_t ht_modules_meaning(uint64_t pc) {
    return ht_likely(!__atomic_load_n(&ht_modules_reused, __ATOMIC_RELAXED)) ? pc : pc ^ ht_modules_salt_of(pc);
}

// What the hash of each stack begins with. Changes when too many libraries have come and gone to know where they lay.
uint64_t ht_modules_salt(void);

#endif
