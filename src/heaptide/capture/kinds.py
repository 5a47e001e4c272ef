# SPDX-License-Identifier: Apache-2.0
"""Blocks of the allocator and mappings that the program made itself: one capture, two accounts that are never mixed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide.capture import format as fmt
from heaptide.capture.records import Record, SnapshotRecord, StacksRecord


def mapping_ids(records: Sequence[Record]) -> npt.NDArray[np.int64]:
    """The ids of the stacks that count mappings, ascending."""
    stacks = [record for record in records if isinstance(record, StacksRecord)]
    ids = [record.ids[record.flags & fmt.STACK_MMAP != 0] for record in stacks]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *ids]))


def split(
    snapshots: Sequence[SnapshotRecord], mappings: npt.NDArray[np.int64]
) -> tuple[list[SnapshotRecord], list[SnapshotRecord]]:
    """Each snapshot twice: with the counters of blocks alone, and with those of mappings (ids in `mappings`) alone."""
    masks = [np.isin(snapshot.ids, mappings) for snapshot in snapshots]
    blocks = [_only(snapshot, ~mask) for snapshot, mask in zip(snapshots, masks, strict=True)]
    return blocks, [_only(snapshot, mask) for snapshot, mask in zip(snapshots, masks, strict=True)]


def _only(snapshot: SnapshotRecord, rows: npt.NDArray[np.bool_]) -> SnapshotRecord:
    if rows.all():
        return snapshot
    columns: Mapping[str, npt.NDArray[Any]] = {name: column[rows] for name, column in snapshot.columns.items()}
    return replace(snapshot, ids=snapshot.ids[rows], columns=columns)
