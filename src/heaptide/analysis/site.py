# SPDX-License-Identifier: Apache-2.0
"""Which frames at the leaf end of a stack are left out, so that its value stands at the code that asked for memory.

The site of a stack is its leaf-most frame that is the user's own. pprof's list is shorter: allocators, by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from heaptide.model import Frame

Skip = Callable[[Frame], bool]
"""Says of a frame whether it is left out when it stands at the leaf end of a stack."""

_PPROF_DROPS = re.compile(
    r"""(?: calloc | cfree | malloc | free | memalign | do_memalign | (?:__)?posix_memalign | aligned_alloc | pvalloc
      | valloc | realloc | reallocarray | tcmalloc::.* | tc_\w+ | \w*_zone_\w*(?:alloc|free)\w* | runtime\..*
      | BaseArena::.* | do_malloc\w* | DoSampledAllocation | _M_allocate | __builtin_(?:vec_)?(?:new|delete)
      | (?:__gnu_cxx::new_allocator|std::__new_allocator|std::allocator_traits|std::allocator)::allocate
      | __libc_(?:malloc|calloc|realloc|memalign) | __malloc_alloc_template::allocate | simple_alloc::allocate
      | allocate | cpp_alloc | operator\ new(?:\[\])? | je_\w+ | mi_\w+ )""",
    re.VERBOSE,
)


def not_users(frame: Frame) -> bool:
    """Skips everything but the user's own: the flat value then stands at the site."""
    return frame.role != "user"


def pprof_drops(frame: Frame) -> bool:
    """Skips what pprof drops from heap profiles; names must have been simplified (see `analysis.simplify`)."""
    return frame.role == "agent" or (frame.function is not None and _PPROF_DROPS.fullmatch(frame.function) is not None)


def no_frame(frame: Frame) -> bool:
    """Skips nothing."""
    return False


def site_index(frames: Sequence[Frame]) -> int | None:
    """Where in a stack (leaf first) its site is; None for a stack without a frame of the user's own."""
    return next((i for i, frame in enumerate(frames) if not not_users(frame)), None)


def site_of(frames: Sequence[Frame]) -> Frame | None:
    """The site of a stack (leaf first); None for a stack without a frame of the user's own."""
    index = site_index(frames)
    return None if index is None else frames[index]
