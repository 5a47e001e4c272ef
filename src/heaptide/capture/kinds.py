# SPDX-License-Identifier: Apache-2.0
"""Blocks of the allocator and mappings that the program made itself: one capture, two accounts that are never mixed."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heaptide.capture import format as fmt
from heaptide.capture.counters import CounterLog
from heaptide.capture.records import Record, StacksRecord


def mapping_ids(records: Sequence[Record]) -> npt.NDArray[np.int64]:
    """The ids of the stacks that count mappings, ascending."""
    stacks = [record for record in records if isinstance(record, StacksRecord)]
    ids = [record.ids[record.flags & fmt.STACK_MMAP != 0] for record in stacks]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *ids]))


def split(log: CounterLog, mappings: npt.NDArray[np.int64]) -> tuple[CounterLog, CounterLog]:
    """Two logs of the same moments: of the stacks of blocks, and of those of mappings (ids in `mappings`)."""
    mask = np.isin(log.ids, mappings)
    return log.only(~mask), log.only(mask)
