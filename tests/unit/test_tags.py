# SPDX-License-Identifier: Apache-2.0
"""Labels of samples: choosing by them, as frames, as boxes of a graph."""

from __future__ import annotations

import re

import pytest

from heaptide.analysis import tags
from heaptide.analysis.graph import EVERYTHING, Style
from heaptide.analysis.inquiry import ByTag, Inquiry, answer
from heaptide.analysis.node_tags import Tag
from heaptide.model.columns import Columns
from heaptide.render import units
from heaptide.render.pprof_names import printable
from heaptide.render.tag_boxes import tag_boxes
from tests.builders.some_columns import some_columns, stacks_of

KB = 1024


def labelled() -> Columns:
    return some_columns(
        [("a main", (1, 10)), ("b main", (2, 20)), ("c main", (3, 30)), ("d main", (4, 40))],
        [
            {"who": "worker", "bytes": 100 * KB},
            {"who": ["server", "worker"], "bytes": 400 * KB, "latency": (5, "ms")},
            {"request": (64 * KB, "")},
        ],
    )


def written(value: int, unit: str) -> str:
    return units.pprof_value(value, unit)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ("100kb", "a"),
        ("100kb:", "ab"),
        (":100kb", "ac"),
        ("50kb:64kb", "c"),
        ("bytes=100kb:1mb", "ab"),
        ("request=100kb:", ""),
        ("latency=1ms:1s", "b"),
        ("latency=5000us", "b"),
        ("worker", "ab"),
        ("who:server", "b"),
        ("worker,server", "b"),
        ("who=worker", "ab"),
        ("who=server,nobody", "b"),
        ("bytes=worker", ""),
        ("^who", "ab"),
    ],
)
def test_what_matches(wanted: str, rows: str) -> None:
    found = tags.rows_tagged(labelled(), wanted, tags.units_of(labelled()))
    assert "".join("abcd"[row] for row in found.nonzero()[0]) == rows


def test_ranges_are_told_from_patterns() -> None:
    assert tags.is_range("1kb:10kb") and tags.is_range("memory=32mb:") and tags.is_range("7")
    assert not tags.is_range("foo.*bar") and not tags.is_range("key=a7") and not tags.is_range("1kb:10ms")


def test_units() -> None:
    found = tags.units_of(labelled())
    assert found.of == {"bytes": "bytes", "latency": "ms", "request": "bytes"} and found.besides == {}
    mixed = some_columns([("a", (1, 1))], [{"size": [(1, "kb"), (2, "mb"), (3, "kb")]}])
    assert tags.units_of(mixed).of == {"size": "kb"} and tags.units_of(mixed).besides == {"size": ("mb",)}


def test_labels_as_frames() -> None:
    found = tags.with_tag_frames(labelled(), ["who", "bytes"], ["request"], written)
    found.check()
    assert [stack for stack, _ in stacks_of(found)] == [
        " a main 102400 worker",
        " b main 409600 server,worker",
        "65536 c main  ",
        " d main  ",
    ]
    assert set(found.functions.filename[-3:]) <= {"who", "bytes", "request"}


def test_labels_are_chosen() -> None:
    question = Inquiry(by_tag=ByTag(show=re.compile("^who$")))
    found = answer(labelled(), question, written)
    assert tags.keys_of(found.columns) == {"who"} and found.idle == ()
    question = Inquiry(by_tag=ByTag(focus="nothing", roots=("gone",)))
    assert answer(labelled(), question, written).idle == ("tagroot", "tagfocus")


def test_boxes_of_a_graph() -> None:
    found = answer(labelled(), Inquiry("inuse_space"), written)
    graph = found.graph(Style(EVERYTHING, "cum", printable), written)
    by_name = {printable(node.place): node.tags for node in graph.nodes}
    assert by_name["a"].texts == (Tag("who:worker", 10, 10),)
    assert (by_name["a"].sizes or {})["who:worker"] == (Tag("100kB", 10, 10, 100 * KB, "bytes"),)
    assert {tag.name: tag.cum for tag in by_name["main"].texts} == {"who:worker": 10, "who:server\nwho:worker": 20}
    assert by_name["d"].count() == 0 and by_name["a"].count() == 2 and by_name["main"].count() == 0
    lines = tag_boxes(by_name["b"], "N1", False, units.Pprof("bytes", "B", 100))
    assert lines[0] == ('N1_0 [label = "who:server\\nwho:worker" id="N1_0" fontsize=8 shape=box3d tooltip="20B"]')
    assert tag_boxes(by_name["main"], "N2", True, units.Pprof("bytes", "B", 100)) == []


def test_many_sizes_are_joined_to_four() -> None:
    stacks = [("a", (1, 2**i)) for i in range(8)]
    sizes = some_columns(stacks, [{"bytes": 2**i} for i in range(8)])
    found = answer(sizes, Inquiry("inuse_space"), written)
    node = found.graph(Style(EVERYTHING, "flat", printable), written).nodes[0]
    lines = tag_boxes(node.tags, "N1", False, units.Pprof("bytes", "B", 255))
    labels = [line.split('"')[1] for line in lines[::2]]
    assert labels == ["128B", "64B", "32B", "1B..16B"]
    assert sum(int(line.split('tooltip="')[1].split("B")[0]) for line in lines[::2]) == 255
