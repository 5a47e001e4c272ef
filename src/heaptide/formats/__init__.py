# SPDX-License-Identifier: Apache-2.0
"""Foreign profile files: one module per format, reader and writer together, no I/O.

`read` tells by its contents what a file is and gives it as columns, whichever it was; `targets` writes columns.

    gperftools, jemalloc   text heap profiles     maps, heaps, text_heap   what they have in common, and the writer
    pprof                  profile.proto          profile_proto            its messages
    collapsed              folded stacks          named                    what to call frames without a name
    heaptrack, massif      read only              packed                   gzip and zstd, with a ceiling
    callgrind, speedscope  written only           recognise, targets       which format, read and written
"""

from __future__ import annotations

from heaptide.formats.recognise import Foreign, Moment, kind_of, read

__all__ = ["Foreign", "Moment", "kind_of", "read"]
