// SPDX-License-Identifier: Apache-2.0
// own.h: where the agent's own memory lies, told in the books. The kernel joins neighbouring mappings, so from outside it
// cannot be told from the program's; and the ledger must not take it for the allocator's.
#ifndef HEAPTIDE_OWN_H
#define HEAPTIDE_OWN_H

#include "books.h"

void ht_own_begin(void); // from here on each mapping of ours is noted
// New books are told what there is; later mappings go to the books that are open.
void ht_own_tell(struct ht_books *b);

#endif
