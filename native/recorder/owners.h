// SPDX-License-Identifier: Apache-2.0
// owners.h: whose a range of addresses is, as the books tell it. Hostile like all of them: what makes no sense is left out.
#ifndef HEAPTIDE_OWNERS_H
#define HEAPTIDE_OWNERS_H

#include "books_reader.h"
#include "maps.h"

// The agent's memory and the program's own mappings as struct owned, ascending, without overlaps. False: the regions did not
// come to rest, or there is no memory; *ret then holds what is known.
bool owners_read(const struct books *books, struct buf *ret);

#endif
