# SPDX-License-Identifier: Apache-2.0
"""The document's bytes: varints, sections, and what a damaged one gives."""

from __future__ import annotations

import gzip
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.render.page import varint
from heaptide.render.page.document import pack, section, unpack
from tests.builders.capture import varint as one_varint
from tests.builders.capture import zigzag

WHOLE = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40)


@given(WHOLE)
def test_numbers_come_back(values: list[int]) -> None:
    data = varint.encode(np.array(values, np.int64))
    assert varint.decode(data).tolist() == values
    assert sum(varint.lengths(np.array(values, np.int64)).tolist()) == len(data)


@given(WHOLE)
def test_bytes_are_those_of_the_definition(values: list[int]) -> None:
    assert varint.encode(np.array(values, np.int64)) == b"".join(one_varint(zigzag(value)) for value in values)


@pytest.mark.parametrize("data", [b"\x80", b"\x01\xff", b"\x80" * 10 + b"\x01"])
def test_a_number_that_does_not_end_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        varint.decode(data)


def test_a_document_as_its_definition_says() -> None:
    columns = {
        "a": section("u8", np.array([1, 255])),
        "b": section("u32", np.array([0xFFFFFFFF])),
        "c": section("f64", np.array([0.5, -1.0])),
        "d": section("varint", np.array([-1, 300])),
    }
    data = pack({"schema": 1, "title": "ü"}, columns)
    assert data == pack({"schema": 1, "title": "ü"}, columns)
    raw = gzip.decompress(data)
    magic, length = struct.unpack_from("<4sI", raw)
    assert magic == b"HTPG"
    header = json.loads(raw[8 : 8 + length])
    begin = (8 + length + 7) // 8 * 8
    place = header["sections"]["c"]
    assert (begin + place["offset"]) % 8 == 0
    assert struct.unpack_from("<2d", raw, begin + place["offset"]) == (0.5, -1.0)
    assert raw[begin + header["sections"]["d"]["offset"] :][:3] == b"\x01\xd8\x04"
    found, numbers = unpack(data)
    assert found["title"] == "ü"
    assert {name: column.tolist() for name, column in numbers.items()} == {
        "a": [1, 255],
        "b": [0xFFFFFFFF],
        "c": [0.5, -1.0],
        "d": [-1, 300],
    }


@pytest.mark.parametrize(("kind", "value"), [("u8", 256), ("u8", -1), ("u32", 2**32)])
def test_what_does_not_fit_is_refused(kind: str, value: int) -> None:
    with pytest.raises(ValueError, match="fit"):
        section(kind, np.array([value]))  # type: ignore[arg-type]


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError):
        pack({"t_s": float("nan")}, {})


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="begins with"):
        unpack(gzip.compress(b"PPPPPPPPPPPP"))
