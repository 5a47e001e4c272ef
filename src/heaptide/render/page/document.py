# SPDX-License-Identifier: Apache-2.0
"""The document that the page reads: a JSON header and columns of numbers (docs/design/0012-the-page.md).

    gzip( "HTPG" | u32 header length | header: JSON, UTF-8 | padding to 8 | sections ), little-endian

Every section begins at a multiple of 8, so that a browser can look at it in place. `page/src/document.ts` is the other
end.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from heaptide.render.page import varint

Kind: TypeAlias = Literal["u8", "u32", "f64", "varint"]
Numbers: TypeAlias = npt.NDArray[Any]

MAGIC = b"HTPG"
_HEAD = struct.Struct("<4sI")
_TYPES: Mapping[str, str] = {"u8": "<u1", "u32": "<u4", "f64": "<f8"}
_LEVEL = 6
"""Level 9 takes ten times as long for a fiftieth of the size: most of a large document is zeros."""


@dataclass(frozen=True, slots=True)
class Section:
    """A column as it stands in the document."""

    kind: Kind
    length: int
    """Number of entries."""
    data: bytes


def section(kind: Kind, values: Numbers) -> Section:
    """A column of numbers. Raises ValueError where one does not fit the type."""
    if kind == "varint":
        return Section(kind, len(values), varint.encode(values))
    if kind != "f64" and len(values) and not 0 <= int(values.min()) <= int(values.max()) < 1 << int(kind[1:]):
        raise ValueError(f"{int(values.min())} to {int(values.max())} do not fit {kind}")
    return Section(kind, len(values), values.astype(_TYPES[kind]).tobytes())


def pack(header: Mapping[str, object], sections: Mapping[str, Section]) -> bytes:
    """The document's bytes, the same for the same contents. The header's `sections` are added here."""
    places, offset = {}, 0
    for name, one in sections.items():
        places[name] = {"type": one.kind, "offset": offset, "length": one.length, "bytes": len(one.data)}
        offset += _padded(len(one.data))
    text = json.dumps({**header, "sections": places}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    words = text.encode("utf-8")
    parts = [_HEAD.pack(MAGIC, len(words)), words, bytes(_padding(_HEAD.size + len(words)))]
    for one in sections.values():
        parts += [one.data, bytes(_padding(len(one.data)))]
    return gzip.compress(b"".join(parts), _LEVEL, mtime=0)


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Numbers]]:
    """Header and columns of a document that `pack` made. Raises ValueError when it is none."""
    raw = gzip.decompress(data)
    magic, length = _HEAD.unpack_from(raw)
    if magic != MAGIC:
        raise ValueError(f"not a page's document: it begins with {magic!r}")
    header: dict[str, Any] = json.loads(raw[_HEAD.size : _HEAD.size + length])
    begin = _padded(_HEAD.size + length)
    columns: dict[str, Numbers] = {}
    for name, place in header["sections"].items():
        part = raw[begin + place["offset"] : begin + place["offset"] + place["bytes"]]
        kind = place["type"]
        columns[name] = varint.decode(part) if kind == "varint" else np.frombuffer(part, _TYPES[kind])
        if len(columns[name]) != place["length"]:
            raise ValueError(f"section {name} has {len(columns[name])} entries, not {place['length']}")
    return header, columns


def _padding(length: int) -> int:
    return -length % 8


def _padded(length: int) -> int:
    return length + _padding(length)
