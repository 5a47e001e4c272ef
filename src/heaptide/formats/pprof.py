# SPDX-License-Identifier: Apache-2.0
"""profile.proto, the format of pprof and of most profilers today: `.pb.gz`, or plain.

Everything that the format can hold is in `Columns`, so reading and writing lose nothing but ids, the order of the
string table and fields that a newer version of the format may have. A profile that contradicts itself (a sample of a
location that is not there, another number of values than types, an id twice) is refused, as pprof refuses it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide._errors import InputError
from heaptide.formats.packed import is_gzip, unpack
from heaptide.formats.profile_proto import profile_class
from heaptide.model.columns import Columns, Functions, Indices, Ints, Labels, Locations, Mapped, ValueType

_Ids = npt.NDArray[np.uint64]
_VARINT, _LENGTH = 0, 2
_KINDS = {
    **dict.fromkeys((1, 2, 3, 4, 5, 6, 11), (_LENGTH,)),
    **dict.fromkeys((7, 8, 9, 10, 12, 14, 15), (_VARINT,)),
    13: (_VARINT, _LENGTH),
}
"""How the fields of Profile, by number, are written."""
_ENOUGH_FIELDS = 20
_ALL = (1 << 64) - 1
_LONGEST_VARINT = 10
_LEVEL = 1
"""Of compression: level 6 takes four times as long for a tenth less."""


def looks_like(head: bytes) -> bool:
    """Whether ``head``, the beginning of the unpacked contents, may be that of a profile.proto.

    The format has no mark. What is asked is that the first fields, as far as they can be seen, are fields of a Profile
    with the types that these have.
    """
    at, seen = 0, 0
    while at < len(head) and seen < _ENOUGH_FIELDS:
        field, kind = head[at] >> 3, head[at] & 7
        if head[at] >= 0x80 or _KINDS.get(field) is None or kind not in _KINDS[field]:
            return False
        value, at = _varint(head, at + 1)
        if kind == _LENGTH:
            at += value
        seen += 1
    return seen > 0 and (seen > 1 or at <= len(head))


def _varint(head: bytes, at: int) -> tuple[int, int]:
    """The number at ``at``, and where it ends; what is too long or cut ends at the end."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(head):
            break
        value |= (head[at] & 0x7F) << shift
        at += 1
        if head[at - 1] < 0x80:
            return value, at
    return value, len(head)


def parse(data: bytes, path: str = "<profile>") -> Columns:
    """Read a profile, gzipped or plain. ``path`` is only named in errors: InputError when it is none."""
    plain = unpack(data, path) if is_gzip(data) else data
    message = _message(plain, path, packed=True)
    message.DiscardUnknownFields()
    if message.ByteSize() == len(plain):  # what would be written is as long as what was read: nothing was passed over
        try:
            return _Reading(message, path, _packed_lists).columns()
        except ValueError:
            pass  # a list that is cut: the library says so below
    return _Reading(_message(plain, path, packed=False), path, _lists).columns()


def _message(plain: bytes, path: str, *, packed: bool) -> Any:
    from google.protobuf.message import DecodeError

    message = profile_class(packed=packed)()
    try:
        message.ParseFromString(plain)
    except DecodeError as error:
        raise InputError(path, None, f"is no profile.proto: {error}") from None
    return message


def _lists(samples: Any, name: str) -> tuple[_Ids, Ints]:
    """The numbers in a repeated field of all samples, and where each sample's begin."""
    start = _bounds(len(getattr(one, name)) for one in samples)
    numbers = chain.from_iterable(getattr(one, name) for one in samples)
    flat = np.fromiter((number & _ALL for number in numbers), np.uint64, int(start[-1]))
    return flat, start


def _packed_lists(samples: Any, name: str) -> tuple[_Ids, Ints]:
    """The same from fields that are seen as bytes. ValueError if a list ends inside a number, or a number is too long.

    A number is a varint: seven bits a byte, the lowest first; the last byte is under 128.
    """
    parts = [getattr(one, name) for one in samples]
    data = np.frombuffer(b"".join(parts), np.uint8)
    edges = _bounds(map(len, parts))
    is_last = data < 0x80
    if not is_last[edges[1:][np.diff(edges) > 0] - 1].all():
        raise ValueError(name)
    ends = np.flatnonzero(is_last) + 1
    begins = np.concatenate((np.zeros(1, np.int64), ends[:-1]))[: len(ends)]
    lengths = ends - begins
    if len(lengths) and lengths.max() > _LONGEST_VARINT:
        raise ValueError(name)
    flat = (data[begins] & 0x7F).astype(np.uint64)
    rows = np.flatnonzero(lengths > 1)
    for step in range(1, _LONGEST_VARINT):
        bits = data[begins[rows] + step] & 0x7F
        flat[rows] |= bits.astype(np.uint64) << np.uint64(7 * step)
        rows = rows[lengths[rows] > step + 1]
        if not len(rows):
            break
    return flat, np.searchsorted(ends, edges, side="right").astype(np.int64)


class _Reading:
    """From messages to columns."""

    def __init__(self, message: Any, path: str, lists: Callable[[Any, str], tuple[_Ids, Ints]]) -> None:
        self.message = message
        self.lists = lists
        self.path = path
        self.strings: list[str] = [text.decode("utf-8", "surrogateescape") for text in message.string_table]

    def columns(self) -> Columns:
        message = self.message
        if self.strings and self.strings[0]:
            raise self._wrong(f"its string 0 must be empty, and is {self.strings[0]!r}")
        if not message.sample_type:
            raise self._wrong("it names no type of sample")
        functions = self._functions()
        locations = self._locations()
        stack, stack_start = self._stacks()
        return Columns(
            sample_types=tuple(self._value_type(kind) for kind in message.sample_type),
            values=self._values(),
            stack_start=stack_start,
            stack=stack,
            locations=locations,
            functions=functions,
            mappings=tuple(self._mapping(one) for one in message.mapping),
            labels=self._labels(),
            period_type=self._value_type(message.period_type) if message.HasField("period_type") else None,
            period=message.period,
            time_ns=message.time_nanos,
            duration_ns=message.duration_nanos,
            comments=tuple(self._text(index) for index in message.comment),
            default_sample_type=self._text(message.default_sample_type),
            doc_url=self._text(message.doc_url),
            drop_frames=self._text(message.drop_frames),
            keep_frames=self._text(message.keep_frames),
        )

    def _wrong(self, what: str) -> InputError:
        return InputError(self.path, None, f"is no sound profile.proto: {what}")

    def _text(self, index: int) -> str:
        if index == 0 and not self.strings:
            return ""
        if not 0 <= index < len(self.strings):
            raise self._wrong(f"string {index} of {len(self.strings)} is named")
        return self.strings[index]

    def _value_type(self, kind: Any) -> ValueType:
        return ValueType(self._text(kind.type), self._text(kind.unit))

    def _mapping(self, one: Any) -> Mapped:
        return Mapped(
            one.memory_start,
            one.memory_limit,
            one.file_offset,
            self._text(one.filename),
            self._text(one.build_id),
            one.has_functions,
            one.has_filenames,
            one.has_line_numbers,
            one.has_inline_frames,
        )

    def _functions(self) -> Functions:
        every = self.message.function
        text = self._text
        return Functions(
            [text(one.name) for one in every],
            [text(one.system_name) for one in every],
            [text(one.filename) for one in every],
            np.fromiter((one.start_line for one in every), np.int64, len(every)),
        )

    def _locations(self) -> Locations:
        every = self.message.location
        lines = list(chain.from_iterable(one.line for one in every))
        return Locations(
            address=np.fromiter((one.address for one in every), np.uint64, len(every)),
            mapping=self._rows([one.mapping_id for one in every], self.message.mapping, "mapping"),
            folded=np.fromiter((one.is_folded for one in every), np.bool_, len(every)),
            line_start=_bounds(len(one.line) for one in every),
            function=self._rows([one.function_id for one in lines], self.message.function, "function"),
            line=np.fromiter((one.line for one in lines), np.int64, len(lines)),
            column=np.fromiter((one.column for one in lines), np.int64, len(lines)),
        )

    def _stacks(self) -> tuple[Indices, Ints]:
        flat, start = self.lists(self.message.sample, "location_id")
        stack = self._rows(flat, self.message.location, "location")
        if len(stack) and stack.min() < 0:
            raise self._wrong("a sample names the location 0")
        return stack, start

    def _values(self) -> Ints:
        kinds = len(self.message.sample_type)
        flat, start = self.lists(self.message.sample, "value")
        if (np.diff(start) != kinds).any():
            raise self._wrong(f"a sample has another number of values than there are types ({kinds})")
        return np.ascontiguousarray(flat.view(np.int64).reshape(-1, kinds).T)

    def _labels(self) -> Labels:
        found = [
            (row, label.key, label.str, label.num, label.num_unit)
            for row, sample in enumerate(self.message.sample)
            for label in sample.label
        ]
        table = np.array(found, np.int64).reshape(-1, 5)
        named = table[:, [1, 2, 4]]
        if len(named) and (named.min() < 0 or named.max() >= len(self.strings)):
            raise self._wrong("a label names a string that is not there")
        key, text, unit = (column.astype(np.int32) for column in named.T)
        return Labels(
            sample=table[:, 0].copy(),
            key=key,
            text=np.where(text == 0, np.int32(-1), text),
            number=np.where(text == 0, table[:, 3], 0),
            unit=np.where((unit == 0) | (text != 0), np.int32(-1), unit),
            strings=self.strings,
        )

    def _rows(self, wanted: Sequence[int] | _Ids, table: Any, what: str) -> Indices:
        """The rows of ids in a table; -1 for the id 0, which is none."""
        ids = np.fromiter((one.id for one in table), np.uint64, len(table))
        if len(ids) and ids.min() == 0:
            raise self._wrong(f"a {what} has the id 0")
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        if (ordered[1:] == ordered[:-1]).any():
            raise self._wrong(f"two {what}s have the same id")
        sought = np.asarray(wanted, np.uint64)
        rows = _look_up(sought, ordered, order.astype(np.int32))
        if (missing := sought[(rows < 0) & (sought != 0)]).size:
            raise self._wrong(f"{what} {missing[0]} is named, and there is none of that id")
        return rows


def _look_up(sought: _Ids, ordered: _Ids, row: Indices) -> Indices:
    """For each id the row it has, -1 where there is none. Ids that are counted up from 1 are looked up directly."""
    if not len(ordered):
        return np.full(len(sought), -1, np.int32)
    highest = int(ordered[-1])
    if highest <= 8 * len(ordered) + 1024:
        table = np.full(highest + 2, -1, np.int32)
        table[ordered] = row
        return table[np.minimum(sought, np.uint64(highest + 1))]
    at = np.minimum(np.searchsorted(ordered, sought), len(ordered) - 1)
    return np.where(ordered[at] == sought, row[at], np.int32(-1))


def _bounds(lengths: Iterable[int]) -> Ints:
    counted = np.fromiter(lengths, np.int64)
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counted, dtype=np.int64)))


def dump(columns: Columns) -> bytes:
    """Write a gzipped profile.proto. The bytes depend on the columns alone."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    return packer.compress(message_of(columns).SerializeToString(deterministic=True)) + packer.flush()


def message_of(columns: Columns) -> Any:
    """The columns as a message Profile."""
    return _Writing(columns).message()


class _Writing:
    """From columns to messages."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.index: dict[str, int] = {"": 0}

    def message(self) -> Any:
        columns = self.columns
        out = profile_class()(
            period=columns.period,
            time_nanos=columns.time_ns,
            duration_nanos=columns.duration_ns,
            default_sample_type=self._text(columns.default_sample_type),
            doc_url=self._text(columns.doc_url),
            drop_frames=self._text(columns.drop_frames),
            keep_frames=self._text(columns.keep_frames),
            comment=[self._text(comment) for comment in columns.comments],
        )
        for kind in columns.sample_types:
            self._value_type(out.sample_type.add(), kind)
        if columns.period_type is not None:
            self._value_type(out.period_type, columns.period_type)
            out.period_type.SetInParent()
        self._samples(out)
        self._labels(out)
        self._mappings(out)
        self._locations(out)
        self._functions(out)
        out.string_table.extend(text.encode("utf-8", "surrogateescape") for text in self.index)
        return out

    def _text(self, text: str) -> int:
        return self.index.setdefault(text, len(self.index))

    def _value_type(self, out: Any, kind: ValueType) -> None:
        out.type, out.unit = self._text(kind.type), self._text(kind.unit)

    def _samples(self, out: Any) -> None:
        ids = (self.columns.stack.astype(np.int64) + 1).tolist()
        start = self.columns.stack_start.tolist()
        values = self.columns.values.T.tolist()
        for row in range(len(self.columns)):
            sample = out.sample.add()
            sample.location_id.extend(ids[start[row] : start[row + 1]])
            sample.value.extend(values[row])

    def _labels(self, out: Any) -> None:
        labels = self.columns.labels
        strings = [self._text(text) for text in labels.strings]
        columns = (labels.sample, labels.key, labels.text, labels.number, labels.unit)
        for row, key, text, number, unit in zip(*(column.tolist() for column in columns), strict=True):
            label = out.sample[row].label.add(key=strings[key])
            if text >= 0:
                label.str = strings[text]
            else:
                label.num = number
                label.num_unit = strings[unit] if unit >= 0 else 0

    def _mappings(self, out: Any) -> None:
        for number, one in enumerate(self.columns.mappings, start=1):
            out.mapping.add(
                id=number,
                memory_start=one.start,
                memory_limit=one.limit,
                file_offset=one.offset,
                filename=self._text(one.file),
                build_id=self._text(one.build_id),
                has_functions=one.has_functions,
                has_filenames=one.has_filenames,
                has_line_numbers=one.has_line_numbers,
                has_inline_frames=one.has_inline_frames,
            )

    def _locations(self, out: Any) -> None:
        places = self.columns.locations
        start = places.line_start.tolist()
        lines = list(zip(places.function.tolist(), places.line.tolist(), places.column.tolist(), strict=True))
        each = zip(places.address.tolist(), places.mapping.tolist(), places.folded.tolist(), strict=True)
        for row, (address, mapping, folded) in enumerate(each):
            location = out.location.add(id=row + 1, mapping_id=mapping + 1, address=address, is_folded=folded)
            for function, line, column in lines[start[row] : start[row + 1]]:
                location.line.add(function_id=function + 1, line=line, column=column)

    def _functions(self, out: Any) -> None:
        table = self.columns.functions
        each = zip(table.name, table.system_name, table.filename, table.start_line.tolist(), strict=True)
        for number, (name, system_name, filename, start_line) in enumerate(each, start=1):
            out.function.add(
                id=number,
                name=self._text(name),
                system_name=self._text(system_name),
                filename=self._text(filename),
                start_line=start_line,
            )
