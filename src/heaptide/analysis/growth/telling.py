# SPDX-License-Identifier: Apache-2.0
"""How much of a suspect's stack tells it from the other sites: from its site on towards the root, by function.

Most sites are told by their function. Where a function holds several sites, their callers have to tell; stacks that
pass through the same functions to the root are told by their sites' lines, and are left out here.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth.sites import Sites
from heaptide.model import Frame, Profile

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Paths:
    """Stacks of the sites of one function, each from its site to the root, one behind the other."""

    function: Ints
    """By frame: the number of its function."""
    start: Ints
    """By stack: where it begins."""
    end: Ints
    site: Ints


class Telling:
    """The stacks of a profile by the function of their site; looked at when a function holds several sites."""

    def __init__(self, profile: Profile, sites: Sites) -> None:
        self._profile = profile
        self._sites = sites
        self._paths: dict[Hashable, _Paths] = {}

    def frames(self, stack: Sequence[Frame], own: Collection[int]) -> int:
        """So many frames of a stack, its site's first, that no stack of another site begins with them; at least 1.

        ``own``: the sites that are the suspect's: its own, or those below a caller.
        """
        if not stack:
            return 0
        site = _name(stack[0])
        if not set(self._places.get(site, ())) - set(own):
            return 1
        paths = self._paths_of(site)
        other = ~np.isin(paths.site, list(own))
        mine = [self._numbers[_name(frame)] for frame in stack]
        return _shortest(mine, paths.function, paths.start[other], paths.end[other])

    @cached_property
    def _places(self) -> dict[Hashable, list[int]]:
        """By function its sites."""
        found: dict[Hashable, list[int]] = {}
        for place, frame in enumerate(self._sites.frames):
            if frame is not None:
                found.setdefault(_name(frame), []).append(place)
        return found

    @cached_property
    def _numbers(self) -> dict[Hashable, int]:
        """A number for each function."""
        return {name: number for number, name in enumerate(dict.fromkeys(map(_name, self._profile.stacks.frames)))}

    @cached_property
    def _of_frame(self) -> Ints:
        return np.array([self._numbers[_name(frame)] for frame in self._profile.stacks.frames], np.int64)

    def _paths_of(self, function: Hashable) -> _Paths:
        if function not in self._paths:
            rows = np.flatnonzero(np.isin(self._sites.of_row, self._places[function]))
            depths = self._sites.depth[rows].tolist()
            stacks = [
                self._profile.stacks.stacks[row][depth:] for row, depth in zip(rows.tolist(), depths, strict=True)
            ]
            end = np.cumsum([len(stack) for stack in stacks])
            every = self._of_frame[np.concatenate([np.array(stack, np.int64) for stack in stacks])]
            self._paths[function] = _Paths(every, np.append(0, end[:-1]), end, self._sites.of_row[rows])
        return self._paths[function]


def _shortest(mine: Sequence[int], function: Ints, start: Ints, end: Ints) -> int:
    """One more frame than the longest beginning that a stack has in common with another that then goes elsewhere."""
    told = 1
    for depth in range(1, len(mine)):
        goes_on = start + depth < end
        same = goes_on & (function[np.where(goes_on, start + depth, 0)] == mine[depth])
        if not same.all():
            told = depth + 1
        start, end = start[same], end[same]
        if not len(start):
            break
    return told if not (end - start > len(mine)).any() else len(mine)


def _name(frame: Frame) -> Hashable:
    """What a person reads: the function, or where there is no name the place."""
    return frame.function if frame.function is not None else (frame.module, frame.address)
