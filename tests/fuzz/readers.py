# SPDX-License-Identifier: Apache-2.0
"""What every reader of foreign files must stand: any bytes at all, of any of the formats.

`run(name, data)` returns whether the reader took ``data``; an exception is a bug. What was read must agree with itself
and be no larger than its file can have said, and every eighth of it must survive being written in every format.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from heaptide._errors import InputError
from heaptide.formats import read
from heaptide.formats.profile_proto import profile_class
from heaptide.formats.recognise import READERS, Foreign, kind_of
from heaptide.formats.targets import TARGETS, default_value

CORPUS = Path(__file__).parent / "corpus"
MOST_BYTES = 1 << 20
_WRITTEN = 8
_WRITTEN_STEPS = 2000
"""Profiles of more steps than this are not written: that takes time, and tells nothing new."""
_EDGES = (0, 1, 2, 3, 4, 127, 128, 255, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, -1, -(1 << 63))


def _any(data: bytes) -> Foreign:
    kind_of(data)
    return read(data)


def _message(data: bytes) -> Foreign:
    """Bytes as a recipe for a message, so that what is inside is nonsense and the framing is sound."""
    source = iter(data)
    message = profile_class()()
    message.string_table.append(b"")
    _fill(message, source, 0)
    return read(message.SerializeToString(), "<fuzz>")


def _fill(message: Any, source: Iterator[int], depth: int) -> None:
    fields = message.DESCRIPTOR.fields
    for choice in source:
        if choice >= 240:
            return
        field = fields[choice % len(fields)]
        value = next(source, 0)
        if field.message_type is not None:
            holder = getattr(message, field.name)
            _fill(holder.add() if field.is_repeated else holder, source, depth + 1)
            continue
        number = _EDGES[value] if value < len(_EDGES) else value & 31
        if field.type == field.TYPE_BYTES:
            content: object = bytes([value])
        elif field.type == field.TYPE_BOOL:
            content = bool(value & 1)
        else:
            content = number & ((1 << 64) - 1) if field.type == field.TYPE_UINT64 else number
        if field.is_repeated:
            getattr(message, field.name).append(content)
        else:
            setattr(message, field.name, content)


TARGETS_TO_READ: dict[str, Callable[[bytes], Foreign]] = {
    "any": _any,
    "message": _message,
    **{name: (lambda data, reader=reader: reader(data, "<fuzz>")) for name, (_, reader) in READERS.items()},
}


def run(name: str, data: bytes) -> bool:
    """Feeds ``data`` to a reader; whether it was accepted."""
    try:
        foreign = TARGETS_TO_READ[name](data)
    except InputError:
        return False
    for moment in foreign.moments:
        columns = moment.columns
        columns.check()
        assert columns.values.size <= 64 + 8 * len(data), "more values than the file can have said"
        if len(columns.stack) <= _WRITTEN_STEPS and zlib.crc32(data) % _WRITTEN == 0:
            for target in TARGETS.values():
                target.lacks(columns, default_value(columns))
                target.write(columns, default_value(columns), "fuzz")
    return True


def seeds(name: str) -> Iterator[bytes]:
    """The inputs to begin with: of a reader's own format, or of all."""
    for path in sorted(CORPUS.iterdir()):
        if name in ("any", path.name.partition("-")[0]):
            yield path.read_bytes()
