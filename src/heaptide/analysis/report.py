# SPDX-License-Identifier: Apache-2.0
"""Everything that the page shows of a recording, gathered: one frozen result, which `render.page` writes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from heaptide._errors import NothingToShow
from heaptide.analysis.births import Births, births
from heaptide.analysis.growth import Growth, Step, Suspect, judge
from heaptide.analysis.kept_moments import kept_moments
from heaptide.analysis.ledger import Ledger, Reading, ledger, timeline
from heaptide.analysis.prefix_tree import PrefixTree, ancestors_at, prefix_tree
from heaptide.analysis.site import not_users
from heaptide.analysis.site_curves import SiteCurve, site_curves
from heaptide.analysis.stack_changes import StackChanges, stack_changes
from heaptide.model import Frame, Series
from heaptide.model.changes import Changes

Ints = npt.NDArray[np.int64]
Kind = Literal["heap", "mmap"]

NO_STACK = Frame(None, None, None, None, None, unresolved="no stack was recorded")
"""Stands for the stack of what has none."""
MOMENTS = 120
"""Of a longer recording so many are kept, if its stacks leave room for them."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Blocks or mappings: distinct stacks as a tree, and what each allocated and freed between the kept moments."""

    kind: Kind
    frames: Sequence[Frame]
    """What the numbers of `tree.frame` mean."""
    tree: PrefixTree
    site: Ints
    """Of each stack the node at which its value stands when runtime frames are hidden."""
    changes: Changes
    """Rows are the stacks of `tree.leaf`."""
    values: tuple[str, ...]
    """The value types that the recording tells."""
    folded: int = 0
    """How many stacks were put together as too small to be seen."""


@dataclass(frozen=True, slots=True)
class Report:
    """See the module's head."""

    series: Series
    at: Ints
    """Indices of the kept moments, ascending."""
    growth: Growth | None
    """None for a file that holds one moment."""
    ledger: Ledger | None
    readings: tuple[Reading, ...]
    datasets: tuple[Dataset, ...]
    top_sites: tuple[SiteCurve, ...]
    births: Births | None


def report(series: Series, *, limit: int = MOMENTS) -> Report:
    """Reads and judges a recording for the page.

    Raises:
        NothingToShow: it holds no snapshot, or no value of a heap.
    """
    growth = judge(series) if len(series.snapshots) > 1 else None
    steps = [step.t_s for suspect in (growth.suspects if growth else ()) for step in _all_steps(suspect)]
    at = kept_moments(series, limit, steps)
    blocks = dataset(stack_changes(series, at), "heap")
    if not blocks.values:
        raise NothingToShow(f"{series.path} holds no heap values", hint="see: heaptide pprof")
    mapped = None if series.mappings is None else dataset(stack_changes(series.mappings, at), "mmap")
    return Report(
        series=series,
        at=at,
        growth=growth,
        ledger=_ledger(series),
        readings=tuple(timeline(series)),
        datasets=(blocks,) if mapped is None or not len(mapped.tree.leaf) else (blocks, mapped),
        top_sites=site_curves(blocks.frames, blocks.tree.frame[blocks.site], blocks.changes),
        births=births(series),
    )


def dataset(found: StackChanges, kind: Kind) -> Dataset:
    """Stacks as a tree; those that never allocated are left out, those with the same frames are added up."""
    frames = [*found.stacks.frames, NO_STACK]
    skipped = [not_users(frame) for frame in frames]
    counted = np.unique(found.changes.row)
    stacks = [found.stacks.stacks[row][::-1] or (len(frames) - 1,) for row in counted.tolist()]
    tree = prefix_tree(stacks)
    distinct = np.zeros(found.changes.stacks, np.int64)
    distinct[counted] = tree.of_stack
    above = np.zeros(len(tree.leaf), np.int64)
    above[tree.of_stack] = [_below_site(stack, skipped) for stack in stacks]
    return Dataset(
        kind,
        frames,
        tree,
        ancestors_at(tree, tree.leaf, above),
        found.changes.grouped(distinct, len(tree.leaf)),
        found.values,
    )


def _below_site(stack: tuple[int, ...], skipped: Sequence[bool]) -> int:
    """How many frames at the leaf end of a stack (root first) are not the user's own; 0 where none is."""
    for place, frame in enumerate(reversed(stack)):
        if not skipped[frame]:
            return place
    return 0


def _all_steps(suspect: Suspect) -> list[Step]:
    return [*suspect.steps, *(step for part in suspect.parts for step in part.steps)]


def _ledger(series: Series) -> Ledger | None:
    try:
        return ledger(series)
    except NothingToShow:
        return None
