# SPDX-License-Identifier: Apache-2.0
"""Payload of a record -> the record. The checksum was right; each decoder doubts the payload all the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide.capture import format as fmt
from heaptide.capture.format import SnapshotKind
from heaptide.capture.packed import decode_columns
from heaptide.capture.records import (
    AgentRecord,
    AgesRecord,
    EndRecord,
    Figure,
    MemoryRecord,
    ModuleRecord,
    NoteRecord,
    ProcessRecord,
    ProgramHeader,
    Record,
    SnapshotRecord,
    Sums,
    UnloadRecord,
)
from heaptide.capture.stacks import Malformed, decode_stacks

_MAX_COUNTER = 2**63 - 1
_PROCESS_STRINGS = 7


def _head(layout: fmt.Layout, payload: memoryview) -> dict[str, Any]:
    if len(payload) < layout.size:
        raise Malformed(f"{layout.size} bytes of {layout.name}", f"{len(payload)} bytes")
    fields = layout.unpack(payload)
    fields.pop("reserved", None)
    return fields


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def decode_process(payload: memoryview, offset: int) -> ProcessRecord:
    """PROCESS."""
    fields = _head(fmt.PROCESS, payload)
    if fields["mode"] not in (fmt.MODE_SAMPLED, fmt.MODE_EXACT):
        raise Malformed("mode 1 (sampled) or 2 (exact)", f"mode {fields['mode']}")
    argc = fields.pop("argc")
    strings = bytes(payload[fmt.PROCESS.size :]).split(b"\0")
    if len(strings) - 1 < _PROCESS_STRINGS + argc:
        raise Malformed(f"{_PROCESS_STRINGS + argc} strings", f"{len(strings) - 1}")
    exe, cwd, hostname, kernel, agent, recorder, machine = (_text(raw) for raw in strings[:_PROCESS_STRINGS])
    argv = tuple(_text(raw) for raw in strings[_PROCESS_STRINGS : _PROCESS_STRINGS + argc])
    return ProcessRecord(
        offset=offset,
        exe=exe,
        cwd=cwd,
        hostname=hostname,
        kernel=kernel,
        agent_version=agent,
        recorder_version=recorder,
        machine=machine,
        argv=argv,
        **fields,
    )


def decode_module(payload: memoryview, offset: int) -> ModuleRecord:
    """MODULE, with its program headers."""
    fields = _head(fmt.MODULE, payload)
    phnum, id_bytes, path_bytes = fields.pop("phnum"), fields.pop("build_id_bytes"), fields.pop("path_bytes")
    needed = fmt.MODULE.size + phnum * fmt.PHDR.size + id_bytes + path_bytes
    if needed > len(payload):
        raise Malformed(f"{needed} bytes", f"{len(payload)} bytes")
    if fields["module"] < 1 or fields["end"] < fields["start"]:
        raise Malformed(
            "a module number from 1 and a range", f"module {fields['module']}, {fields['start']:#x}-{fields['end']:#x}"
        )
    id_begin = fmt.MODULE.size + phnum * fmt.PHDR.size
    return ModuleRecord(
        offset=offset,
        phdrs=tuple(
            ProgramHeader(**fmt.PHDR.unpack(payload, fmt.MODULE.size + index * fmt.PHDR.size)) for index in range(phnum)
        ),
        build_id=bytes(payload[id_begin : id_begin + id_bytes]),
        path=_text(bytes(payload[id_begin + id_bytes : needed])),
        **fields,
    )


def decode_unload(payload: memoryview, offset: int) -> UnloadRecord:
    """UNLOAD."""
    return UnloadRecord(offset=offset, **_head(fmt.UNLOAD, payload))


def decode_snapshot(payload: memoryview, offset: int) -> SnapshotRecord:
    """SNAPSHOT. The columns are views into the payload where that is possible."""
    fields = _head(fmt.SNAPSHOT, payload)
    count, names, kind = snapshot_head(fields)
    width = 1 + len(names)
    if count * width > len(payload):
        raise Malformed(f"{width} columns of at most {len(payload) // width} values", f"{count} values")
    position, ids = _column("ids", payload, fmt.SNAPSHOT.size, count)
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in names:
        position, columns[name] = _column(name, payload, position, count)
    if count and (np.diff(ids.astype(np.int64)) <= 0).any():
        raise Malformed("ascending stack ids", "ids out of order")
    return SnapshotRecord(offset=offset, kind=kind, ids=ids.astype(np.int64), columns=columns, **fields)


def _column(name: str, payload: memoryview, position: int, count: int) -> tuple[int, npt.NDArray[Any]]:
    """One column, a view into the payload, and where the next begins."""
    width = payload[position] if position < len(payload) else 0
    if width not in (1, 2, 4, 8):
        raise Malformed(f"a column {name} of width 1, 2, 4 or 8", f"width {width}")
    begin, end = position + 8, position + 8 + count * width
    if end > len(payload):
        raise Malformed(f"{count} values of column {name}", "the end of the record")
    values: npt.NDArray[Any]
    if name in fmt.FLOAT_COLUMNS:
        values = _variances(name, payload[begin:end], width)
    else:
        values = np.frombuffer(payload[begin:end], f"<u{width}")
        if count and int(values.max()) > _MAX_COUNTER:
            raise Malformed(f"values of column {name} below 2**63", str(int(values.max())))
    return begin + (count * width + 7 & ~7), values


def _variances(name: str, raw: memoryview, width: int) -> npt.NDArray[np.float64]:
    """A column of IEEE doubles. A writer may narrow a column that is all zeros."""
    if width != 8:
        if np.frombuffer(raw, np.uint8).any():
            raise Malformed(f"a column {name} of doubles", f"width {width}")
        return np.zeros(len(raw) // width)
    values = np.frombuffer(raw, "<f8")
    if not np.isfinite(values).all() or (values < 0).any():
        raise Malformed(f"finite values of column {name}, not below zero", "others")
    return values


def decode_packed(payload: memoryview, offset: int) -> SnapshotRecord:
    """PACKED: a snapshot as well."""
    packed = _head(fmt.PACKED, payload)
    fields = _head(fmt.SNAPSHOT, memoryview(packed["snapshot"]))
    count, names, kind = snapshot_head(fields)
    ids, columns, overdrawn = decode_columns(payload[fmt.PACKED.size :], count, names)
    sums = Sums(packed["in_use_bytes"], packed["alloc_bytes"], packed["low_bytes"], packed["high_bytes"])
    return SnapshotRecord(
        offset=offset,
        kind=kind,
        ids=ids,
        columns=columns,
        thinned=packed["thinned"],
        sums=sums,
        overdrawn=overdrawn,
        **fields,
    )


def snapshot_head(fields: dict[str, Any]) -> tuple[int, tuple[str, ...], SnapshotKind]:
    """How many rows, which columns, what kind; taken out of the fields."""
    count, width = fields.pop("count"), fields.pop("columns")
    names = {1 + len(fmt.EXACT_COLUMNS): fmt.EXACT_COLUMNS, 1 + len(fmt.SAMPLED_COLUMNS): fmt.SAMPLED_COLUMNS}.get(
        width
    )
    if names is None:
        raise Malformed("5 columns (exact) or 9 (sampled)", str(width))
    kind = fmt.SNAPSHOT_KINDS.get(fields.pop("kind"))
    if kind is None or fields["number"] < 1:
        raise Malformed("a snapshot of a known kind, numbered from 1", f"kind {kind}, number {fields['number']}")
    return count, names, kind


def decode_memory(payload: memoryview, offset: int) -> MemoryRecord:
    """MEMORY."""
    fields = _head(fmt.MEMORY, payload)
    needed = fmt.MEMORY.size + fields["count"] * fmt.FIGURE.size
    if needed > len(payload):
        raise Malformed(f"{needed} bytes", f"{len(payload)} bytes")
    figures = fmt.FIGURE.struct.iter_unpack(payload[fmt.MEMORY.size : needed])
    return MemoryRecord(
        offset,
        fields["snapshot"],
        tuple(Figure(key, boottime_ns, value, stack_id) for key, stack_id, boottime_ns, value in figures),
    )


_AGE_ROW = np.dtype(
    [("id", "<u4"), ("born", "<u4"), ("bytes", "<u8"), ("variance", "<f4"), ("objects", "<f4")]
)  # as fmt.AGE


def decode_ages(payload: memoryview, offset: int) -> AgesRecord:
    """AGES."""
    fields = _head(fmt.AGES, payload)
    count = fields.pop("count")
    needed = fmt.AGES.size + count * fmt.AGE.size
    if needed > len(payload):
        raise Malformed(f"{needed} bytes", f"{len(payload)} bytes")
    rows = np.frombuffer(payload[fmt.AGES.size : needed], _AGE_ROW)
    estimates = {name: rows[name].astype(np.float64) for name in ("bytes", "variance", "objects")}
    if not all(np.isfinite(column).all() and (column >= 0).all() for column in estimates.values()):
        raise Malformed("finite estimates, not below zero", "others")
    ids, born = rows["id"].astype(np.int64), rows["born"].astype(np.int64)
    return AgesRecord(
        offset=offset,
        ids=ids,
        born=born,
        bytes=estimates["bytes"],
        variance=estimates["variance"],
        objects=estimates["objects"],
        **fields,
    )


def decode_agent(payload: memoryview, offset: int) -> AgentRecord:
    """AGENT."""
    return AgentRecord(offset=offset, **_head(fmt.AGENT, payload))


def decode_note(payload: memoryview, offset: int) -> NoteRecord:
    """NOTE."""
    fields = _head(fmt.NOTE, payload)
    return NoteRecord(offset, fields["severity"], _text(bytes(payload[fmt.NOTE.size :])))


def decode_end(payload: memoryview, offset: int) -> EndRecord:
    """END."""
    return EndRecord(offset=offset, **_head(fmt.END, payload))


DECODERS: dict[int, Callable[[memoryview, int], Record]] = {
    fmt.REC_PROCESS: decode_process,
    fmt.REC_MODULE: decode_module,
    fmt.REC_UNLOAD: decode_unload,
    fmt.REC_STACKS: decode_stacks,
    fmt.REC_SNAPSHOT: decode_snapshot,
    fmt.REC_MEMORY: decode_memory,
    fmt.REC_AGENT: decode_agent,
    fmt.REC_NOTE: decode_note,
    fmt.REC_END: decode_end,
    fmt.REC_PACKED: decode_packed,
    fmt.REC_AGES: decode_ages,
}
