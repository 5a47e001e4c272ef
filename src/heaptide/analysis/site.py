# SPDX-License-Identifier: Apache-2.0
"""The site of a stack: the leaf-most frame that is the user's own code."""

from __future__ import annotations

from collections.abc import Sequence

from heaptide.model import Frame, Role

SITE_SKIPS: frozenset[Role] = frozenset({"allocator", "runtime", "container", "agent"})
"""Roles that are never a site."""
PPROF_SKIPS: frozenset[Role] = frozenset({"allocator", "agent"})
"""What pprof leaves out: the allocator's frames alone."""
NO_SKIPS: frozenset[Role] = frozenset()


def site_index(frames: Sequence[Frame], skip: frozenset[Role] = SITE_SKIPS) -> int | None:
    """Where in a stack (leaf first) its site is; None for a stack without a frame of the user's own."""
    return next((i for i, frame in enumerate(frames) if frame.role not in skip), None)


def site_of(frames: Sequence[Frame]) -> Frame | None:
    """The site of a stack (leaf first); None for a stack without a frame of the user's own."""
    index = site_index(frames)
    return None if index is None else frames[index]
