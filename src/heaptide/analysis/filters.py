# SPDX-License-Identifier: Apache-2.0
"""Choosing whole stacks by what stands in them."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from heaptide.model import Frame, Profile


def focus(profile: Profile, keep: re.Pattern[str] | None, drop: re.Pattern[str] | None) -> Profile:
    """The stacks with a frame that ``keep`` matches and none that ``drop`` matches; None matches nothing to be asked.

    A frame matches by its function, its source file, or its module's path.
    """
    if keep is None and drop is None:
        return profile
    rows = np.ones(len(profile), bool)
    if keep is not None:
        rows &= _rows_with(profile, keep)
    if drop is not None:
        rows &= ~_rows_with(profile, drop)
    return profile.select(rows)


def _rows_with(profile: Profile, pattern: re.Pattern[str]) -> npt.NDArray[np.bool_]:
    hits = {i for i, frame in enumerate(profile.stacks.frames) if _matches(frame, pattern)}
    return np.array([not hits.isdisjoint(stack) for stack in profile.stacks.stacks], bool)


def _matches(frame: Frame, pattern: re.Pattern[str]) -> bool:
    return any(text is not None and pattern.search(text) for text in (frame.function, frame.file, frame.module))
