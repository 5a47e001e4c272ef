# SPDX-License-Identifier: Apache-2.0
"""From the snapshots' changes to the state at each: the last value of every stack up to there.

One pass over the file's order notes, for each stack, which entry (its place in the sequence of all snapshots' values)
was its latest. That state is kept whole now and then (a key frame): the state at any snapshot is a key frame and
a few snapshots more. Key frames take at most a quarter of what the snapshots' own ids take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide.capture.records import SnapshotRecord

Ints = npt.NDArray[np.int64]

_KEY_FRAME_SPACING = 4
"""A key frame is kept after so many times as many entries as it has rows."""


@dataclass(frozen=True, slots=True)
class State:
    """All stacks' counters at a snapshot: ids ascending, columns by the names of the capture, as wide as 64 bits."""

    ids: Ints
    columns: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all stacks, one entry for each snapshot. Stacks that freed more than they allocated count as zero."""

    in_use_bytes: Ints
    allocated_bytes: Ints
    negative: Ints
    """How many stacks freed more than they allocated."""


class CounterLog:
    """The snapshots of one recording, all with the same columns."""

    def __init__(self, snapshots: Sequence[SnapshotRecord]) -> None:
        self._snapshots = snapshots
        counts = [len(snapshot.ids) for snapshot in snapshots]
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        self.ids = _union([snapshot.ids for snapshot in snapshots])
        """Every stack id of the recording, ascending."""
        self._key_frames: list[tuple[int, Ints]] = []
        self.totals = self._replay()

    def state(self, index: int) -> State:
        """The counters at `snapshots[index]`, for the stacks that had any by then."""
        latest = self._latest(index)
        rows = np.flatnonzero(latest >= 0)
        entries = latest[rows]
        names = self._snapshots[index].columns
        return State(self.ids[rows], {name: self._gather(name, entries) for name in names})

    def _replay(self) -> Totals:
        """The one pass: totals at each snapshot, and the key frames."""
        rows = len(self.ids)
        latest = np.full(rows, -1, np.int64)
        live, allocated = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        sums = np.zeros((3, len(self._snapshots)), np.int64)
        running = np.zeros(3, np.int64)
        since_key = 0
        for index, snapshot in enumerate(self._snapshots):
            place = np.searchsorted(self.ids, snapshot.ids)
            now_allocated = snapshot.columns["alloc_bytes"].astype(np.int64)
            now_live = now_allocated - snapshot.columns["free_bytes"].astype(np.int64)
            before = live[place]
            running[0] += np.maximum(now_live, 0).sum() - np.maximum(before, 0).sum()
            running[1] += now_allocated.sum() - allocated[place].sum()
            running[2] += (now_live < 0).sum() - (before < 0).sum()
            live[place], allocated[place] = now_live, now_allocated
            latest[place] = np.arange(self._starts[index], self._starts[index + 1])
            sums[:, index] = running
            since_key += len(place)
            if since_key > _KEY_FRAME_SPACING * rows:
                self._key_frames.append((index, latest.copy()))
                since_key = 0
        return Totals(sums[0], sums[1], sums[2])

    def _latest(self, index: int) -> Ints:
        """For each stack the entry that holds its value at `snapshots[index]`; -1 for none yet."""
        earlier = [frame for frame in self._key_frames if frame[0] <= index]
        begin, latest = (earlier[-1][0] + 1, earlier[-1][1].copy()) if earlier else (0, np.full(len(self.ids), -1))
        for step in range(begin, index + 1):
            place = np.searchsorted(self.ids, self._snapshots[step].ids)
            latest[place] = np.arange(self._starts[step], self._starts[step + 1])
        return latest

    def _gather(self, name: str, entries: Ints) -> npt.NDArray[Any]:
        """The values of one column at these entries."""
        first = self._snapshots[0].columns[name]
        out = np.zeros(len(entries), np.float64 if first.dtype.kind == "f" else np.int64)
        owner = np.searchsorted(self._starts, entries, side="right") - 1
        order = np.argsort(owner, kind="stable")
        owners, begins = np.unique(owner[order], return_index=True)
        ends = np.append(begins[1:], len(order))
        for index, begin, end in zip(owners.tolist(), begins.tolist(), ends.tolist(), strict=False):
            group = order[begin:end]
            out[group] = self._snapshots[index].columns[name][entries[group] - self._starts[index]]
        return out


def _union(lists: Sequence[Ints]) -> Ints:
    """Every number that occurs, ascending. Ids are given out without holes, so a table of bits is the usual way."""
    entries = sum(len(ids) for ids in lists)
    if not entries:
        return np.zeros(0, np.int64)
    top = max(int(ids[-1]) for ids in lists if len(ids))
    if top > 8 * entries + (1 << 20):
        return np.unique(np.concatenate(lists))
    seen = np.zeros(top + 1, bool)
    for ids in lists:
        seen[ids] = True
    return np.flatnonzero(seen)
