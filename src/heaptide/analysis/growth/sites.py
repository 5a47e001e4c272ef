# SPDX-License-Identifier: Apache-2.0
"""Who is judged: the stacks of a series, put together by site."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.model import Frame, Profile

Ints = npt.NDArray[np.int64]
SiteKey = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites of a profile, in the order in which they first appear."""

    frames: list[Frame | None]
    """The site's frame; None where a stack is empty."""
    keys: list[SiteKey]
    """Equal for sites that are the same to a person, also in another process or another build (by name then)."""
    of_row: Ints
    """For each row of the profile its site."""
    depth: Ints
    """For each row the index of its site in the stack (leaf first)."""


def sites_of(profile: Profile, not_mine: re.Pattern[str] | None = None) -> Sites:
    """The site of every row: the leaf-most frame of the user's own, whose function `not_mine` does not match.

    A stack without such a frame counts at its leaf.
    """
    table = profile.stacks
    mine = [_is_mine(frame, not_mine) for frame in table.frames]
    keys = [site_key(frame) for frame in table.frames]
    found: dict[SiteKey, int] = {}
    frames: list[Frame | None] = []
    of_row, depth = np.zeros(len(table), np.int64), np.zeros(len(table), np.int64)
    for row, stack in enumerate(table.stacks):
        place = next((place for place, index in enumerate(stack) if mine[index]), 0)
        key = keys[stack[place]] if stack else ()
        if key not in found:
            found[key] = len(found)
            frames.append(table.frames[stack[place]] if stack else None)
        of_row[row], depth[row] = found[key], place
    return Sites(frames, list(found), of_row, depth)


def site_key(frame: Frame) -> SiteKey:
    """(function, file, line), or module and address where there is no name."""
    if frame.function is None:
        return (None, frame.module, frame.address, frame.unresolved if frame.address is None else None)
    return (frame.function, frame.file, frame.line)


def heaviest_stack(profile: Profile, sites: Sites, rows: Ints, weight: npt.NDArray[np.float64]) -> tuple[Frame, ...]:
    """Of these rows the stack that weighs most, from its site to the root."""
    row = int(rows[0] if len(rows) == 1 else rows[np.argmax(weight[rows])])
    frames = profile.stacks.frames
    return tuple([frames[index] for index in profile.stacks.stacks[row][int(sites.depth[row]) :]])


def _is_mine(frame: Frame, not_mine: re.Pattern[str] | None) -> bool:
    if frame.role != "user":
        return False
    return not_mine is None or not any(not_mine.search(text) for text in _names(frame))


def _names(frame: Frame) -> Sequence[str]:
    return [text for text in (frame.function, frame.file, frame.module) if text is not None]
