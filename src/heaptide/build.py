# SPDX-License-Identifier: Apache-2.0
"""The one join: records and symbols become a series of profiles.

Opening reads the file, checks it and adds up the totals; no symbol is looked up. Stacks are placed in their modules and
named when the first profile that needs them is asked for, each distinct place once for all profiles of the series.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from heaptide._errors import InputError
from heaptide._types import Address, FileOffset
from heaptide.capture import format as fmt
from heaptide.capture.counters import CounterLog, State
from heaptide.capture.findings import Account, account_of
from heaptide.capture.history import grouped, last_totals
from heaptide.capture.places import Place, PlacedStack, place_stacks
from heaptide.capture.reader import read
from heaptide.capture.records import AgesRecord, ModuleRecord, ProcessRecord, Record
from heaptide.model import Frame, Profile, Series, Snapshot, StackTable, StackTableBuilder, role_of
from heaptide.model.changes import COUNTERS, Changes, changes_of_totals
from heaptide.model.histories import Histories
from heaptide.model.images import Image, Segment
from heaptide.model.profile import Column, Floats, Ints
from heaptide.model.survivors import Survivors

if TYPE_CHECKING:
    from heaptide.symbolize import Module, SourceFrame

Mode = Literal["exact", "sampled"]

_SPECIAL_IDS: Mapping[int, str] = {
    1: "new stacks came faster than the recorder took them (the log was full)",
    2: "allocated in a signal handler while this thread's stack was being captured",
    3: "not even the caller could be read",
    4: "the program has more distinct stacks than the agent keeps",
    5: "the agent had no memory left for this stack's counters",
    15: "stacks that never held much, folded into one to keep the capture within its budget",
}
_NO_MODULE = "no module is mapped there"
_LOST = "the record of this stack was lost"
_TRUNCATED = f"the stack is deeper than recorded (the agent keeps {fmt.MAX_DEPTH} frames); its root was cut off"
_EMPTY = "the stack is empty"
_KEPT_PROFILES = 8
_REPLACED_TRIES = 5
_PT_LOAD, _PF_X = 1, 1  # of ELF program headers: type, flag


class Names(Protocol):
    """Names addresses; `heaptide.symbolize.Symbolizer` does."""

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        """For each vaddr of a module its frames, innermost inlined call first, never empty."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """A `Names` that wants to know beforehand how much there is to name, to tell how far it is."""

    def expect(self, addresses: int) -> None:
        """So many will be asked for next."""
        ...


def load(path: str | os.PathLike[str], *, symbolizer: Names | None = None, before: Series | None = None) -> Series:
    """Opens a capture.

    Args:
        path: the file; it may still be being written (then `Series.live` is true, and what was finished is read).
        symbolizer: names addresses; by default a `Symbolizer` with the system's search path, made when first needed.
        before: the same recording as it was read earlier, which grew since: stacks that were named stay named.

    Raises:
        InputError: it cannot be read, or is no capture.
    """
    name = os.fspath(path)
    data, locked = _bytes_of(name)
    recording = read(data, path=name, live=locked)
    account = account_of(recording, live=locked)
    names = _NamedStacks(recording.records, account.process, symbolizer)
    if before is not None and isinstance(before._source, _CaptureSource):
        names.take_over(before._source.stacks)
    live = locked and account.end is None
    mappings = _series(name, account, account.mappings, names, "exact", live=live, complete=recording.complete)
    return _series(
        name, account, account.log, names, account.mode, live=live, complete=recording.complete, mappings=mappings
    )


def _series(
    path: str,
    account: Account,
    log: CounterLog,
    names: _NamedStacks,
    mode: Mode,
    *,
    live: bool,
    complete: bool,
    mappings: Series | None = None,
) -> Series:
    process = account.process
    snapshots = _snapshots(account, log)
    return Series(
        path,
        mode,
        snapshots,
        _CaptureSource(log, mode, account.mode, snapshots, names, account.ages if log is account.log else ()),
        warnings=account.warnings,
        live=live,
        complete=complete,
        started_realtime_ns=process.started_realtime_ns if process else 0,
        command=process.argv if process else (),
        pid=process.pid if process else None,
        damaged=account.damaged,
        costs=_costs(account),
        mappings=mappings,
        images=names.images(),
    )


def _costs(account: Account) -> dict[str, int]:
    """See `Series.costs`."""
    agent = account.agent
    if agent is None:
        return {}
    return {
        "agent_bytes": sum(agent.memory),
        "recorder_cpu_ns": agent.recorder_cpu_ns,
        "recorder_rss_bytes": agent.recorder_rss_bytes,
    }


def _bytes_of(path: str) -> tuple[bytes, bool]:
    """The file's bytes, and whether its writer still lives (it holds a lock; asked before reading, see format.h).

    Where the recorder put a shorter file in its place meanwhile, that one's: the old file looks forsaken then.
    """
    for _ in range(_REPLACED_TRIES):
        data, locked, replaced = _bytes_once(path)
        if locked or not replaced:
            break
    return data, locked


def _bytes_once(path: str) -> tuple[bytes, bool, bool]:
    """As `_bytes_of`, and whether the file has lost its name by now.

    Read and not mapped: a file that is cut short while it is mapped would end this process by SIGBUS.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InputError(path, None, f"cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(path, None, "not a regular file", hint="name the capture, NAME.PID.tide")
    with open(descriptor, "rb") as file:
        try:
            locked = _is_locked(descriptor)
            data = file.read()
            return data, locked, os.fstat(descriptor).st_nlink == 0 and os.path.exists(path)
        except OSError as error:
            raise InputError(path, None, f"cannot be read: {error.strerror}") from None


def being_written(path: str) -> bool:
    """Whether the writer of a capture lives. False where that cannot be told."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and _is_locked(descriptor)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _snapshots(account: Account, log: CounterLog) -> list[Snapshot]:
    if not account.snapshots:
        return []
    totals = account.totals[1 if log is account.mappings else 0]
    began = account.process.started_boottime_ns if account.process else account.snapshots[0].boottime_ns
    return [
        Snapshot(
            number=record.number,
            kind=record.kind,
            realtime_ns=record.realtime_ns,
            offset_s=max(record.boottime_ns - began, 0) / 1e9,
            in_use_bytes=in_use,
            allocated_bytes=allocated,
            memory=account.memory.get(record.number, {}),
            memory_by_stack=account.memory_by_stack.get(record.number, {}),
            remarks=account.remarks.get(record.number, ()),
        )
        for record, in_use, allocated in zip(
            account.snapshots, totals.in_use_bytes.tolist(), totals.allocated_bytes.tolist(), strict=True
        )
    ]


class _CaptureSource:
    """Profiles of one capture; the last few are kept."""

    def __init__(
        self,
        log: CounterLog,
        mode: Mode,
        capture_mode: Mode,
        snapshots: Sequence[Snapshot],
        stacks: _NamedStacks,
        ages: Sequence[AgesRecord],
    ) -> None:
        self._log = log
        self._mode = mode
        self._object_scale = fmt.OBJECT_SCALE if capture_mode == "sampled" else 1  # mappings are written alike
        self._snapshots = snapshots
        self.stacks = stacks
        self._ages = ages
        self._kept: dict[int, Profile] = {}
        self._keeping = threading.Lock()
        self._key = object()  # no other series has it

    def profile(self, index: int) -> Profile:
        """See `heaptide.model.Source`. May be called from several threads."""
        found = self._kept.get(index)
        if found is None:
            found = self._build(index)
            with self._keeping:
                while len(self._kept) >= _KEPT_PROFILES:
                    del self._kept[next(iter(self._kept))]
                self._kept[index] = found
        return found

    def histories(self, ids: Ints, group: Ints, count: int, at: Ints) -> Histories:
        """See `heaptide.model.Series.histories`."""
        columns = grouped(self._log, ids, group, count, at)
        zero = np.zeros((count, len(at)))
        return Histories(
            np.array([self._snapshots[index].offset_s for index in at.tolist()]),
            columns["alloc_bytes"],
            columns["free_bytes"],
            columns["alloc_objects"] / self._object_scale,
            columns["free_objects"] / self._object_scale,
            columns.get("alloc_variance", zero),
            columns.get("free_variance", zero),
        )

    def changes(self, at: Ints) -> Changes:
        """See `heaptide.model.Series.changes`."""
        row, moment, columns = last_totals(self._log, at)
        if not columns:
            empty = {name: np.zeros(0, np.int64) for name in COUNTERS}
            return changes_of_totals(len(self._log.ids), len(at), row, moment, empty, {}, self._object_scale)
        totals = {}
        for unit, counted in (("space", "bytes"), ("objects", "objects")):
            allocated = totals[f"alloc_{unit}"] = columns[f"alloc_{counted}"]
            totals[f"inuse_{unit}"] = np.maximum(allocated - columns[f"free_{counted}"], 0)
        variances = {}
        if self._mode == "sampled":
            allocated, freed = columns["alloc_variance"], columns["free_variance"]
            variances = {"alloc_space": allocated, "free_space": np.minimum(freed, allocated)}
        return changes_of_totals(len(self._log.ids), len(at), row, moment, totals, variances, self._object_scale)

    def survivors(self, index: int) -> Survivors | None:
        """See `heaptide.model.Series.survivors`."""
        number = self._snapshots[index].number
        found = [record for record in self._ages if record.snapshot <= number]
        return _survivors(found[-1], self._snapshots) if found else None

    def survivors_profile(self, survivors: Survivors, index: int) -> Profile:
        """See `heaptide.model.Series.born`."""
        ids, size, objects, variance = survivors.by_stack()
        return Profile(
            stacks=self.stacks.table(ids.tolist()),
            values={"inuse_objects": objects, "inuse_space": np.rint(size).astype(np.int64)},
            mode="sampled",
            ids=ids,
            variance={"inuse_space": variance},
            series=self._key,
            at=self._snapshots[index],
        )

    def _build(self, index: int) -> Profile:
        state = self._log.state(index)
        sampled = self._mode == "sampled"
        return Profile(
            stacks=self.stacks.table(state.ids.tolist()),
            values=_values(state, self._object_scale),
            mode=self._mode,
            ids=state.ids,
            variance=_variances(state) if sampled else {},
            samples=_samples(state) if sampled else {},
            series=self._key,
            at=self._snapshots[index],
        )


def _survivors(record: AgesRecord, snapshots: Sequence[Snapshot]) -> Survivors:
    """With times: of births by the first snapshot that is left of those that can be meant."""
    numbers = np.array([snapshot.number for snapshot in snapshots], np.int64)
    offsets = np.array([snapshot.offset_s for snapshot in snapshots])
    read = min(int(np.searchsorted(numbers, record.snapshot)), len(numbers) - 1)
    first = np.minimum(np.searchsorted(numbers, record.born), len(numbers) - 1)
    return Survivors(
        at_number=snapshots[read].number,
        at_s=float(offsets[read]),
        ids=record.ids,
        born=record.born,
        born_s=offsets[first],
        bytes=record.bytes,
        objects=record.objects,
        variance=record.variance,
        left_out_bytes=float(record.left_out_bytes),
    )


def _values(state: State, object_scale: int) -> dict[str, Column]:
    """The four value columns. Objects are whole numbers, or in sampled mode fractions (fixed point in the capture)."""
    columns = state.columns
    objects: dict[str, Column] = {
        "alloc_objects": columns["alloc_objects"],
        "inuse_objects": np.maximum(columns["alloc_objects"] - columns["free_objects"], 0),
    }
    if object_scale != 1:
        objects = {name: column / object_scale for name, column in objects.items()}
    return {
        "alloc_objects": objects["alloc_objects"],
        "alloc_space": columns["alloc_bytes"],
        "inuse_objects": objects["inuse_objects"],
        "inuse_space": np.maximum(columns["alloc_bytes"] - columns["free_bytes"], 0),
    }


def _variances(state: State) -> dict[str, Floats]:
    """The difference of two sums of doubles may miss zero by a rounding error: it is kept from being negative."""
    allocated, freed = state.columns["alloc_variance"], state.columns["free_variance"]
    return {"alloc_space": allocated, "inuse_space": np.maximum(allocated - freed, 0.0)}


def _samples(state: State) -> dict[str, Ints]:
    """The capture's counts wrap at 32 bits, so only their difference is sure."""
    allocated, freed = state.columns["alloc_samples"], state.columns["free_samples"]
    return {"alloc_space": allocated, "inuse_space": (allocated - freed) & 0xFFFFFFFF}


class _NamedStacks:
    """Stacks as frames, made when a profile first needs them, each distinct place named once."""

    def __init__(self, records: Sequence[Record], process: ProcessRecord | None, symbolizer: Names | None) -> None:
        self._records = records
        self._process = process
        self._exe = process.exe if process else ""
        self._lock = threading.Lock()
        self._symbolizer = symbolizer
        self._builder = StackTableBuilder()
        self._stacks: dict[int, tuple[int, ...]] = {}
        self._frames: dict[Place, tuple[int, ...]] = {}
        self._modules = {record.offset: record for record in records if isinstance(record, ModuleRecord)}

    def take_over(self, earlier: _NamedStacks) -> None:
        """What an earlier reading of the same recording has named. Ids of stacks stay; places, which go by where in the
        file their module's record is, stay unless the file was written anew."""
        mine, theirs = self._process, earlier._process
        if mine is None or theirs is None or replace(mine, offset=0) != replace(theirs, offset=0):
            return
        self._lock, self._builder = earlier._lock, earlier._builder
        with self._lock:
            self._stacks = dict(earlier._stacks)
            if all(self._modules.get(offset) == module for offset, module in earlier._modules.items()):
                self._frames = dict(earlier._frames)

    def table(self, ids: Sequence[int]) -> StackTable:
        """The stacks of these ids, in their order. May be called from several threads."""
        with self._lock:
            return self._table(ids)

    def _table(self, ids: Sequence[int]) -> StackTable:
        wanted = {stack_id for stack_id in ids if stack_id not in self._stacks}
        placed = place_stacks(self._records, wanted) if wanted else {}
        self._name({place for stack in placed.values() for place in stack.places})
        for stack_id in wanted:
            self._stacks[stack_id] = self._indices(stack_id, placed.get(stack_id))
        return StackTable(list(self._builder.frames), [self._stacks[stack_id] for stack_id in ids])

    def images(self) -> tuple[Image, ...]:
        """See `Series.images`."""
        return tuple(self._image(record) for record in self._modules.values())

    def _image(self, record: ModuleRecord) -> Image:
        segments = tuple(
            Segment(head.offset, head.vaddr, head.memsz, bool(head.flags & _PF_X))
            for head in record.phdrs
            if head.type == _PT_LOAD
        )
        main = bool(record.flags & fmt.MODULE_MAIN)
        return Image(self._path(record), record.build_id.hex(), record.bias, main, segments)

    def _path(self, record: ModuleRecord) -> str:
        return record.path or (self._exe if record.flags & fmt.MODULE_MAIN else "")

    def _indices(self, stack_id: int, stack: PlacedStack | None) -> tuple[int, ...]:
        if stack is None:
            newer = f"counted under a reason of a newer agent (special id {stack_id})"
            reason = _LOST if stack_id >= fmt.FIRST_STACK_ID else _SPECIAL_IDS.get(stack_id, newer)
            return (self._builder.frame(_no_frame(reason)),)
        frames = [index for place in stack.places for index in self._frames[place]]
        if stack.truncated:
            frames.append(self._builder.frame(_no_frame(_TRUNCATED)))
        return tuple(frames) or (self._builder.frame(_no_frame(_EMPTY)),)

    def _name(self, places: set[Place]) -> None:
        """Fills `_frames` for places that are new, module by module."""
        by_module: dict[int, list[Place]] = {}
        for place in sorted(places):
            if place not in self._frames:
                by_module.setdefault(place.module, []).append(place)
        if isinstance(self._symbolizer, Foreseeing):
            self._symbolizer.expect(sum(map(len, by_module.values())))
        for group in by_module.values():
            for place, frames in zip(group, self._resolve(group), strict=True):
                self._frames[place] = tuple(self._builder.frame(frame) for frame in frames)

    def _resolve(self, places: Sequence[Place]) -> list[tuple[Frame, ...]]:
        """The frames of places in one module (or in none)."""
        record = self._modules.get(places[0].module)
        if record is None:
            return [(_no_frame(_NO_MODULE, Address(place.vaddr)),) for place in places]
        module = self._module(record)
        named = self._names().resolve(module, [place.vaddr for place in places])
        return [
            tuple(_frame(source, module.path, FileOffset(place.vaddr)) for source in sources)
            for place, sources in zip(places, named, strict=True)
        ]

    def _names(self) -> Names:
        if self._symbolizer is None:
            from heaptide.symbolize import Symbolizer

            self._symbolizer = Symbolizer()
        return self._symbolizer

    def _module(self, record: ModuleRecord) -> Module:
        from heaptide.symbolize import Module, Phdr

        headers = tuple(
            Phdr(head.type, head.flags, head.offset, head.vaddr, head.filesz, head.memsz, head.align)
            for head in record.phdrs
        )
        return Module(self._path(record), record.build_id, headers)


def _frame(source: SourceFrame, module: str, address: FileOffset) -> Frame:
    return Frame(
        function=source.function,
        file=source.file,
        line=source.line,
        module=module or None,
        address=address,
        inlined=source.inlined,
        unresolved=source.unresolved,
        role=role_of(module, source.function),
    )


def _no_frame(reason: str, address: Address | None = None) -> Frame:
    return Frame(None, None, None, None, address, unresolved=reason)
