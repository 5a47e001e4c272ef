# SPDX-License-Identifier: Apache-2.0
"""Every renderer, held against golden files that are named by what was asked. GOLDEN_UPDATE=1 writes them anew."""

from __future__ import annotations

import json as standard_json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from heaptide.analysis.filters import prune
from heaptide.analysis.flame import flame
from heaptide.analysis.graph import EVERYTHING, CallGraph, Style, Trim, call_graph
from heaptide.analysis.importance import Order
from heaptide.analysis.inquiry import Answer, Inquiry, answer
from heaptide.analysis.listing import routines
from heaptide.analysis.simplify import with_names
from heaptide.analysis.top import top
from heaptide.analysis.traces import traces
from heaptide.model import Frame, Profile, StackTable
from heaptide.model.flatten import columns_of
from heaptide.render import dot, json, names, pprof, text
from heaptide.render import flame as flame_picture
from heaptide.render.annotated import source_json, source_text
from heaptide.render.callgrind import callgrind
from heaptide.render.harmless import harmless, harmless_lines
from heaptide.render.listing import source
from heaptide.render.pprof_names import printable
from heaptide.render.raw import raw
from heaptide.render.tree import tree_json, tree_text
from tests.builders.profiles import a_frame, a_profile

Report = tuple[Answer, CallGraph, pprof.Page]
GOLDEN = Path(__file__).resolve().parent.parent / "golden"
HEADING = ["server.4711.tide: bytes in use", "at #12 2026-11-22 21:30:11 +00:12.3 (shutdown)"]
LONG = (
    "ns::Outer<std::map<int, std::string> >::Inner::a_function_with_a_long_name(std::vector<int, std::allocator<int> >)"
)


def sample() -> Profile:
    """Recursion, inlined calls, runtime frames, code without a name, small and large values."""
    profile = a_profile(
        {
            "malloc@allocator emplace@container work:7+ serve:3 main:9": 6 << 20,
            "malloc@allocator work:8+ serve:3 main:9": 3 << 20,
            "0x1234 serve:3 main:9": 700 << 10,
            "walk:4 walk:4 main:12": 40 << 10,
            "strdup@allocator main:5": 1000,
            "tiny:2 main:5": 10,
        }
    )
    long = replace(a_frame("long:44"), function=LONG)
    frames = [long if frame.function == "walk" else frame for frame in profile.stacks.frames]
    return replace(profile, stacks=StackTable(frames, profile.stacks.stacks))


def sampled() -> Profile:
    return a_profile({"f:3 main:9": 5 << 20, "g:4 main:9": 100 << 10}, errors={"f:3 main:9": 400e3, "g:4 main:9": 90e3})


def earlier() -> Profile:
    return a_profile({"f:3 main:9": 1 << 20, "g:4 main:9": 60 << 10, "gone:1 main:9": 5000})


def difference() -> Profile:
    return a_profile({"f:3 main:9": 5 << 20, "g:4 main:9": 10 << 10, "new:2 main:9": 700}) - earlier()


def asked(profile: Profile, count: int = 0, *, order: Order = "flat", unit: str = "minimum") -> Report:
    """What `heaptide pprof` makes of a profile, before it is text."""
    columns = with_names(prune(columns_of(profile)), "simple", str)
    found = answer(columns, Inquiry("inuse_space"), lambda value, unit: str(value), is_difference=profile.is_difference)
    page = pprof.Page(unit=unit, trim=Trim(count))
    style = Style(page.trim, order, printable, picture=order == "entropy", forget_small_edges=True)
    return found, found.graph(style), page


def tree_of(profile: Profile) -> CallGraph:
    return call_graph(profile, order="flat", picture=False)


def by_line(profile: Profile) -> CallGraph:
    return call_graph(profile, by="line", trim=EVERYTHING, order="flat", picture=False)


WORK = re.compile("^(work|strdup|main|new)$")


def SOURCE(name: str) -> list[str] | str:
    return [f"\tline {number} of {name}" for number in range(1, 11)] if "work" in name else f"no {name} here"


def listed(profile: Profile) -> str:
    found, _, page = asked(profile)
    return source(routines(by_line(profile), WORK), SOURCE, pprof.dialect_of(found, page))


RENDERERS: dict[str, Callable[[], str]] = {
    "top.text": lambda: text.top_table(top(sample()), HEADING),
    "top.by-line.cum.text": lambda: text.top_table(top(sample(), by="line", cum=True), HEADING),
    "top.by-file.text": lambda: text.top_table(top(sample(), by="file"), HEADING),
    "top.by-module.text": lambda: text.top_table(top(sample(), by="module"), HEADING),
    "top.by-address.n-3.text": lambda: text.top_table(top(sample(), by="address"), HEADING, limit=3),
    "top.inuse_objects.text": lambda: text.top_table(top(sample(), value="inuse_objects"), HEADING),
    "top.sampled.text": lambda: text.top_table(top(sampled()), HEADING),
    "top.base.text": lambda: text.top_table(top(difference()), HEADING),
    "top.base.before.text": lambda: text.top_table(top(difference(), before=earlier()), HEADING),
    "top.base.before.json": lambda: json.top(top(difference(), before=earlier())),
    "top.base.cum.sampled.text": lambda: text.top_table(
        top(sampled() - a_profile({"g:4 main:9": 300 << 10}, errors={}), cum=True, before=earlier()), HEADING
    ),
    "top.colour.text": lambda: text.top_table(top(sample()), HEADING, colour=True),
    "top.json": lambda: json.top(top(sample())),
    "top.by-line.n-2.json": lambda: json.top(top(sample(), by="line"), limit=2),
    "top.sampled.json": lambda: json.top(top(sampled())),
    "top.empty.json": lambda: json.top(top(a_profile({})), reason="nothing is in use"),
    "traces.text": lambda: text.trace_list(traces(sample()), HEADING),
    "traces.n-1.text": lambda: text.trace_list(traces(sample()), HEADING, limit=1),
    "traces.sampled.text": lambda: text.trace_list(traces(sampled()), HEADING),
    "traces.base.text": lambda: text.trace_list(traces(difference()), HEADING),
    "traces.json": lambda: json.traces(traces(sample()), limit=3),
    "graph.dot": lambda: dot.plain(call_graph(sample()), HEADING),
    "graph.by-line.dot": lambda: dot.plain(call_graph(sample(), by="line"), HEADING),
    "graph.base.dot": lambda: dot.plain(call_graph(difference()), HEADING),
    "graph.sampled.dot": lambda: dot.plain(call_graph(sampled()), HEADING),
    "tree.text": lambda: tree_text(tree_of(sample()), HEADING, nodes=range(3), left_out=2),
    "tree.base.text": lambda: tree_text(tree_of(difference()), HEADING, nodes=range(3)),
    "tree.json": lambda: tree_json(tree_of(sample()), nodes=[1]),
    "flame.svg": lambda: flame_picture.svg(flame(sample()), HEADING),
    "flame.inverted.svg": lambda: flame_picture.svg(flame(sample(), inverted=True), HEADING, width=700),
    "flame.base.upwards.svg": lambda: flame_picture.svg(flame(difference()), HEADING, upwards=True),
    "list.text": lambda: source_text(by_line(sample()), routines(by_line(sample()), WORK), SOURCE, HEADING),
    "list.json": lambda: source_json(by_line(sample()), routines(by_line(sample()), WORK)),
    "pprof.list.text": lambda: listed(sample()),
    "pprof.text": lambda: pprof.table(*asked(sample())),
    "pprof.cum.show_bytes.text": lambda: pprof.table(*asked(sample(), order="cum", unit="bytes")),
    "pprof.base.text": lambda: pprof.table(*asked(difference())),
    "pprof.tree.text": lambda: pprof.tree(*asked(sample()))[0],
    "pprof.nodecount-2.dot": lambda: pprof.graph_text(*asked(sample(), 2, order="entropy")),
}


@pytest.mark.parametrize("name", RENDERERS)
def test_golden(name: str) -> None:
    found, file = RENDERERS[name](), GOLDEN / name
    if os.environ.get("GOLDEN_UPDATE"):
        file.write_text(found)
    assert found == file.read_text()


def test_every_golden_file_has_a_renderer() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == set(RENDERERS)


@pytest.mark.parametrize("name", [name for name in RENDERERS if name.endswith(".json")])
def test_documents_are_of_schema_1(name: str) -> None:
    document = standard_json.loads(RENDERERS[name]())
    assert document["schema"] == 1 and list(document)[1:5] == ["value", "unit", "total", "error"]


def test_the_rows_of_the_top_document() -> None:
    document = standard_json.loads(json.top(top(sample())))
    assert list(document["rows"][0])[:6] == ["flat", "cum", "function", "file", "line", "module"]
    unnamed = next(row for row in document["rows"] if row["function"] is None)
    assert unnamed["address"] == "0x1234" and unnamed["unresolved"].startswith("stripped")
    assert document["rows"][0]["flat"] == 9 << 20 and document["total"] == sum(row["flat"] for row in document["rows"])


@pytest.mark.parametrize("share", [-1.0, -0.5, -0.1, 0.0, 0.1, 0.9438, 1.0, 3.0])
def test_colours_are_colours(share: float) -> None:
    for border in (False, True):
        assert len(dot.colour(share, border=border)) == 7


def test_the_colours_of_pprof() -> None:
    assert (dot.colour(0.9438, border=True), dot.colour(0.9438, border=False)) == ("#b20300", "#edd5d5")
    assert (dot.colour(0.3663, border=True), dot.colour(1.0, border=False)) == ("#b22e00", "#edd5d5")


def test_hostile_names_stay_inside_their_quotes() -> None:
    frame = Frame('f"]; evil [label="\\', "/src/x\ny.c", 3, '/bin/"prog', None)
    profile = Profile(StackTable([frame], [(0,)]), a_profile({"f": 5}).values)
    source = dot.plain(call_graph(profile, by="line"), ['head"line'])
    for line in source.splitlines():
        assert line.count('"') - line.count('\\"') - 2 * line.count('\\\\"') >= 0
    import pygraphviz

    assert len(pygraphviz.AGraph(string=source).nodes()) == 2


@pytest.mark.parametrize(
    ("module", "address", "name"),
    [
        ("/lib/libjq.so.1", 0x1234, "libjq.so.1+0x1234"),
        ("/lib/libjq.so.1", None, "[libjq.so.1]"),
        (None, 0x1234, "0x1234"),
        (None, None, "?"),
    ],
)
def test_code_without_a_name(module: str | None, address: int | None, name: str) -> None:
    assert names.code_name(module, address) == name


HOSTILE = 'ev\x1b[31mil\x07\n<b>&"\u202ex\x9b\udc9b'


def test_hostile_names_are_written_out_everywhere() -> None:
    profile = a_profile({"f:3 main:9": 5 << 20})
    bad = [replace(f, function=HOSTILE, file=f"/src/{HOSTILE}.c", module=f"/{HOSTILE}") for f in profile.stacks.frames]
    profile = replace(profile, stacks=StackTable(bad, profile.stacks.stacks))
    graph = call_graph(profile)
    printed = [
        *(text.top_table(top(profile, by=by), ["x"]) for by in ("function", "line", "file", "module", "address")),
        text.trace_list(traces(profile), ["x"]),
        dot.plain(graph, ["x"]),
        pprof.table(*asked(profile)),
        pprof.tree(*asked(profile))[0].replace("\t", " "),  # the titles have tabs
        pprof.graph_text(*asked(profile)),
        "".join(pprof.traces(*asked(profile)[::2])),
        callgrind(*asked(profile)),
        "\n".join(raw(columns_of(profile))),
    ]
    for one in printed:
        assert "\\x1b[31mil\\x07" in one.replace("\\\\", "\\")
        assert harmless_lines(one) == one
    document = json.top(top(profile))
    assert harmless_lines(document) == document
    assert standard_json.loads(document)["rows"][0]["function"] == HOSTILE
    assert names.place_name(graph.nodes[0].place).startswith('ev\\x1b[31mil\\x07\\x0a<b>&"\\u202ex\\x9b\\x9b ')
    assert harmless("gr\u00f6\u00dfe \u4e2d \udce9") == "gr\u00f6\u00dfe \u4e2d \udce9", "other languages' letters stay"
