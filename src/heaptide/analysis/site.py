# SPDX-License-Identifier: Apache-2.0
"""Which frames at the leaf end of a stack are left out, so that its value stands at the code that asked for memory.

The site of a stack is its leaf-most frame that is the user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from heaptide.model import Frame

Skip = Callable[[Frame], bool]
"""Says of a frame whether it is left out when it stands at the leaf end of a stack."""


def not_users(frame: Frame) -> bool:
    """Skips everything but the user's own: the flat value then stands at the site."""
    return frame.role != "user"


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
