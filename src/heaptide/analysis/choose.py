# SPDX-License-Identifier: Apache-2.0
"""Choosing stacks of a profile, and frames of them, by name: ``--focus``, ``--ignore``, ``--hide`` and ``--show``.

The same for a profile as `heaptide.analysis.filters` for columns, where frames carry roles and errors belong to rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heaptide.analysis.filters import ByName
from heaptide.analysis.patterns import Matcher
from heaptide.model import Frame, Profile, StackTable


def chosen(profile: Profile, wanted: ByName) -> Profile:
    """The stacks with a match of ``focus`` and none of ``ignore``, without the frames that are hidden or not shown.

    A frame matches by its function, its source file, or its module's path. Stacks of which nothing is left go.
    """
    if not (wanted.focus or wanted.ignore or wanted.hide or wanted.show):
        return profile
    frames, stacks = profile.stacks.frames, profile.stacks.stacks
    focused = None if wanted.focus is None else _matching(frames, wanted.focus)
    ignored = set() if wanted.ignore is None else _matching(frames, wanted.ignore)
    hidden = set() if wanted.hide is None else _matching(frames, wanted.hide)
    if wanted.show is not None:
        hidden |= set(range(len(frames))) - _matching(frames, wanted.show)
    keep = [
        (focused is None or not focused.isdisjoint(stack))
        and ignored.isdisjoint(stack)
        and not (stack and hidden.issuperset(stack))
        for stack in stacks
    ]
    if hidden:
        stacks = [tuple(frame for frame in stack if frame not in hidden) for stack in stacks]
        profile = replace(profile, stacks=StackTable(frames, stacks), columns=None)
    return profile.select(np.array(keep, bool))


def _matching(frames: list[Frame], pattern: Matcher) -> set[int]:
    return {number for number, frame in enumerate(frames) if _matches(frame, pattern)}


def _matches(frame: Frame, pattern: Matcher) -> bool:
    return any(text is not None and pattern.search(text) for text in (frame.function, frame.file, frame.module))
