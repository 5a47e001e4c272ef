# SPDX-License-Identifier: Apache-2.0
"""Foreign profile files: one module per format, reader and writer together, no I/O.

`read` tells by its contents what a file is and gives it as columns, whichever it was.

    gperftools  .heap, growth: text     maps   the memory map at the end of text profiles
    jemalloc    .heap: text             heaps  what both kinds of text have in common
    pprof       profile.proto, .pb.gz   profile_proto   its messages
    collapsed   folded stacks           named  names of frames, packed  gzip and zstd
"""

from __future__ import annotations

from heaptide.formats.recognise import Foreign, Moment, kind_of, read

__all__ = ["Foreign", "Moment", "kind_of", "read"]
