# SPDX-License-Identifier: Apache-2.0
"""Takes stock of a recording: which snapshots count, what belongs to each, and what a reader has to know."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from heaptide.capture import format as fmt
from heaptide.capture.counters import CounterLog, Totals
from heaptide.capture.kinds import mapping_ids, split
from heaptide.capture.reader import Recording
from heaptide.capture.records import (
    AgentRecord,
    AgesRecord,
    EndRecord,
    MemoryRecord,
    NoteRecord,
    ProcessRecord,
    Record,
    SnapshotRecord,
    StacksRecord,
)

_SHOWN_DAMAGES = 5

_LOSS_TEXTS = {
    "log_full": "{n} new stacks found the log full; their bytes are under one entry that says so",
    "nested": "{n} allocations in signal handlers have no stack",
    "table_full": "{n} new stacks were more than the agent keeps; their bytes are under one entry that says so",
    "pool_full": "{n} operations found no room for their counters; their bytes are under one entry that says so",
    "live_full": "{n} blocks will look live for ever: the agent's book of live blocks was full",
    "sample_table_full": "{n} samples were dropped (the agent's table of live samples was full): totals are too small",
    "no_memory": "the agent could not get memory {n} times",
    "depth": "{n} stacks were deeper than the agent records and lack their root",
    "missed_free": "the frees of {n} blocks went past the agent; they looked live until their address was used again",
    "option": "{n} HEAPTIDE_* settings could not be read and were ignored or clamped",
    "mapping": "{n} mappings of the program could not be recorded",
}
"""What a loss means for the numbers. Losses that mean nothing for them (frees of blocks from before recording began,
frames found by frame pointer) are not warnings; `Account.agent` holds them."""


@dataclass(frozen=True, slots=True)
class Account:
    """What of a recording is used. `memory`, `memory_by_stack` and `remarks` go by snapshot number."""

    mode: Literal["exact", "sampled"]
    process: ProcessRecord | None
    snapshots: list[SnapshotRecord]
    log: CounterLog
    """Their counters of blocks."""
    mappings: CounterLog
    """Their counters of mappings that the program made itself."""
    totals: tuple[Totals, Totals]
    """The sums of both at each snapshot."""
    memory: dict[int, dict[str, int]]
    memory_by_stack: dict[int, dict[str, dict[int, int]]]
    """Snapshot number -> name of a figure -> stack id -> value."""
    ages: list[AgesRecord]
    remarks: dict[int, tuple[str, ...]]
    agent: AgentRecord | None
    end: EndRecord | None
    damaged: bool
    """Something that was written could not be read."""
    warnings: list[str] = field(default_factory=list)
    """In order of importance."""


def account_of(recording: Recording, *, live: bool = False) -> Account:
    """Goes through a recording once. `live`: its writer still lives, so that it has no end is right."""
    records = recording.records
    process = next((record for record in records if isinstance(record, ProcessRecord)), None)
    taken = [record for record in records if isinstance(record, SnapshotRecord)]
    sampled = process.mode == fmt.MODE_SAMPLED if process else any(record.sampled for record in taken)
    snapshots, refused = _sound_order([record for record in taken if record.sampled == sampled])
    refused += [
        f"snapshot #{record.number} at byte {record.offset} has the columns of the other mode and was left out"
        for record in taken
        if record.sampled != sampled
    ]
    agents = [record for record in records if isinstance(record, AgentRecord)]
    end = next((record for record in reversed(records) if isinstance(record, EndRecord)), None)
    log, mappings = split(CounterLog(snapshots), mapping_ids(records))
    unread = _damage_texts(recording) + _holes(snapshots) + _missing_tail(records, snapshots) + refused
    unread += ([] if live and not records else _missing_process(process)) + _missing_stacks(records, log)
    totals = [_totals(part, snapshots, which, sound=not unread) for which, part in enumerate((log, mappings))]
    warnings = unread + _cut_short(snapshots, end, live) + _negative(totals[0]) + _negative(totals[1])
    warnings += _loss_texts(agents[-1]) if agents else []
    warnings += [record.text for record in records if isinstance(record, NoteRecord) and record.severity >= 2]
    warnings += _cut_texts(snapshots)
    return Account(
        mode="sampled" if sampled else "exact",
        process=process,
        snapshots=snapshots,
        log=log,
        mappings=mappings,
        totals=(totals[0], totals[1]),
        memory=_memory([record for record in records if isinstance(record, MemoryRecord)]),
        memory_by_stack=_memory_by_stack([record for record in records if isinstance(record, MemoryRecord)]),
        ages=[record for record in records if isinstance(record, AgesRecord)],
        remarks=_remarks(recording, snapshots),
        agent=agents[-1] if agents else None,
        end=end,
        damaged=bool(unread),
        warnings=warnings,
    )


def _sound_order(taken: Sequence[SnapshotRecord]) -> tuple[list[SnapshotRecord], list[str]]:
    """The snapshots whose numbers rise, and a word on each other."""
    snapshots: list[SnapshotRecord] = []
    refused = []
    for record in taken:
        if snapshots and record.number <= snapshots[-1].number:
            refused.append(f"snapshot #{record.number} at byte {record.offset} comes out of order and was left out")
        else:
            snapshots.append(record)
    return snapshots, refused


def _misses_some(record: SnapshotRecord, before: int) -> bool:
    """Whether snapshots between number `before` and this one are lost, and were not taken out by the recorder."""
    return record.number != before + 1 + record.thinned and not record.flags & fmt.SNAPSHOT_GAP


def _holes(snapshots: Sequence[SnapshotRecord]) -> list[str]:
    """Numbers that are missing. A gap that the recorder knew of carries its changes in the snapshot behind it."""
    holes, before = [], 0
    for record in snapshots:
        if _misses_some(record, before):
            last = f" to #{record.number - 1}" if record.number > before + 2 else ""
            holes.append(f"snapshot #{before + 1}{last} is missing; what changed only there shows older values since")
        before = record.number
    return holes


def _damage_texts(recording: Recording) -> list[str]:
    texts = [f"the file is damaged {damage}" for damage in recording.damage[:_SHOWN_DAMAGES]]
    more = recording.damage[_SHOWN_DAMAGES:]
    if more:
        skipped = sum(damage.skipped_bytes for damage in more)
        texts.append(f"the file is damaged in {len(more)} more places ({skipped} bytes skipped)")
    return texts


def _missing_process(process: ProcessRecord | None) -> list[str]:
    return [] if process else ["the PROCESS record is missing: program, times and mode are guessed from the rest"]


def _missing_stacks(records: Sequence[Record], log: CounterLog) -> list[str]:
    """Counted stacks that no STACKS record tells of."""
    told = [record.ids for record in records if isinstance(record, StacksRecord)]
    counted = log.ids[log.ids >= fmt.FIRST_STACK_ID]
    missing = len(np.setdiff1d(counted, np.concatenate([np.zeros(0, np.int64), *told])))
    return [f"the records of {missing} stacks are missing; their bytes are shown without a stack"] if missing else []


def _missing_tail(records: Sequence[Record], snapshots: Sequence[SnapshotRecord]) -> list[str]:
    """Snapshots behind the last that was read, of which other records speak."""
    last = snapshots[-1].number if snapshots else 0
    named = max((record.snapshot for record in records if isinstance(record, MemoryRecord | AgentRecord)), default=0)
    return [f"snapshots up to #{named} were taken, and none behind #{last} can be read"] if named > last else []


def _totals(log: CounterLog, snapshots: Sequence[SnapshotRecord], which: int, *, sound: bool) -> Totals:
    """As the writer said them; as they are read, where it did not, or where something is missing or cannot be.

    Stacks that were left out of a snapshot (`partial`) are in its writer's sums alone.
    """
    sums = [record.sums for record in snapshots]
    said = [found for found in sums if found is not None]
    if sound and len(said) == len(sums) and not any(record.overdrawn for record in snapshots):
        in_use = np.array([found.in_use_bytes[which] for found in said], np.int64)
        allocated = np.array([found.alloc_bytes[which] for found in said], np.int64)
        return Totals(in_use, allocated, np.zeros(len(said), np.int64))
    totals = log.totals()
    for index, record in enumerate(snapshots):
        if record.sums is not None and record.flags & fmt.SNAPSHOT_PARTIAL:
            totals.in_use_bytes[index] = record.sums.in_use_bytes[which]
            totals.allocated_bytes[index] = record.sums.alloc_bytes[which]
    return totals


def _negative(totals: Totals) -> list[str]:
    most = int(totals.negative.max(initial=0))
    if not most:
        return []
    return [f"{most} stacks freed more than they allocated, which cannot be; they are shown with nothing in use"]


def _cut_short(snapshots: Sequence[SnapshotRecord], end: EndRecord | None, live: bool) -> list[str]:
    last = f"the last snapshot is #{snapshots[-1].number}" if snapshots else "there is no snapshot"
    if live:
        return []
    if end is not None:
        ended = end.cause == fmt.END_RECORDER or any(record.kind == "exit" for record in snapshots)
        return [] if ended else [f"there is no snapshot of the program's end, so `exit` is the last: {last}"]
    return [f"the recording was cut short before its end (was the recorder killed?); {last}"]


def _loss_texts(agent: AgentRecord) -> list[str]:
    counts = dict(zip(fmt.LOSSES, agent.losses, strict=False))
    return [text.format(n=counts[name]) for name, text in _LOSS_TEXTS.items() if counts[name]]


def _cut_texts(snapshots: Sequence[SnapshotRecord]) -> list[str]:
    late = sum(1 for record in snapshots if record.flags & fmt.SNAPSHOT_LATE)
    killed = [record.number for record in snapshots if record.flags & fmt.SNAPSHOT_KILLED]
    texts = [f"{late} of {len(snapshots)} snapshots waited for a thread that did not run"] if late else []
    if killed:
        texts.append(
            f"the program ended inside operations: in snapshot #{killed[-1]} one per thread may be half counted"
        )
    return texts


def _memory(records: Sequence[MemoryRecord]) -> dict[int, dict[str, int]]:
    """Figures by snapshot. Keys of a newer recorder keep their number as their name."""
    memory: dict[int, dict[str, int]] = {}
    for record in records:
        figures = {
            fmt.FIGURES.get(figure.key, f"figure_{figure.key}"): figure.value
            for figure in record.figures
            if figure.key not in fmt.FIGURES_BY_STACK
        }
        memory.setdefault(record.snapshot, {}).update(figures)
    return memory


def _memory_by_stack(records: Sequence[MemoryRecord]) -> dict[int, dict[str, dict[int, int]]]:
    """The figures of which there is one for each stack."""
    memory: dict[int, dict[str, dict[int, int]]] = {}
    for record in records:
        for figure in record.figures:
            if figure.key in fmt.FIGURES_BY_STACK:
                by_name = memory.setdefault(record.snapshot, {})
                by_name.setdefault(fmt.FIGURES[figure.key], {})[figure.id] = figure.value
    return memory


def _remarks(recording: Recording, snapshots: Sequence[SnapshotRecord]) -> dict[int, tuple[str, ...]]:
    """Flags as words, and `damaged` for every snapshot behind a loss that may have held changes of it."""
    words = {fmt.SNAPSHOT_LATE: "late", fmt.SNAPSHOT_KILLED: "killed", fmt.SNAPSHOT_GAP: "gap"}
    words[fmt.SNAPSHOT_PARTIAL] = "partial"
    first_damage = min((damage.offset for damage in recording.damage), default=None)
    remarks, before = {}, 0
    lost = False
    for record in snapshots:
        lost |= first_damage is not None and record.offset > first_damage
        lost |= _misses_some(record, before)
        said = tuple(word for flag, word in words.items() if record.flags & flag) + (("damaged",) if lost else ())
        if said:
            remarks[record.number] = said
        before = record.number
    return remarks
