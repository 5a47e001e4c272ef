# SPDX-License-Identifier: Apache-2.0
"""The flame graph: where boxes stand, what they hold, and that their picture says it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.analysis.flame import Box, Flame, flame
from heaptide.analysis.site import no_frame
from heaptide.analysis.top import top
from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from heaptide.model import StackTable
from heaptide.render.flame import svg
from tests.builders.profiles import a_profile
from tests.unit.test_gperftools import FILE

SVG = "{http://www.w3.org/2000/svg}"
NAMES = "abcde"


def boxes(graph: Flame) -> list[tuple[str, int, float, float, float, float]]:
    return [(b.place.function or "?", b.depth, b.left, b.width, b.value, b.own) for b in graph.boxes]


def test_boxes_stand_below_their_callers_the_widest_first() -> None:
    graph = flame(a_profile({"c b a": 5, "c a": 3, "a": 1, "d+ b a": 2, "x": 4}))
    assert boxes(graph) == [
        ("a", 0, 0, 11, 11, 1),
        ("x", 0, 11, 4, 4, 4),
        ("b", 1, 0, 7, 7, 0),
        ("c", 1, 7, 3, 3, 3),
        ("c", 2, 0, 5, 5, 5),
        ("d", 2, 5, 2, 2, 2),
    ]
    assert [box.inlined for box in graph.boxes] == [False] * 5 + [True]
    assert (graph.total, graph.width, graph.depth, graph.left_out) == (15, 15, 3, 0)


def test_inverted_sites_come_first() -> None:
    graph = flame(a_profile({"c b a": 5, "c a": 3, "malloc@allocator c a": 2}), inverted=True)
    assert boxes(graph) == [
        ("c", 0, 0, 10, 10, 0),
        ("a", 1, 0, 5, 5, 5),
        ("b", 1, 5, 5, 5, 0),
        ("a", 2, 5, 5, 5, 5),
    ]


def test_a_difference_is_as_wide_as_what_changed() -> None:
    now = a_profile({"b main": 50, "c main": 10, "d main": 7})
    graph = flame(now - a_profile({"b main": 20, "c main": 30, "d main": 7}))
    assert boxes(graph) == [("main", 0, 0, 50, 10, 0), ("b", 1, 0, 30, 30, 30), ("c", 1, 30, 20, -20, -20)]
    assert graph.is_difference and (graph.total, graph.width) == (10, 50)


def test_runtime_frames_are_left_out_at_the_leaf_unless_asked_for() -> None:
    profile = a_profile({"malloc@allocator emplace@container work": 5})
    assert [box.place.function for box in flame(profile).boxes] == ["work"]
    whole = flame(profile, skip=no_frame).boxes
    assert [(box.place.function, box.role) for box in whole] == [
        ("work", "user"),
        ("emplace", "container"),
        ("malloc", "allocator"),
    ]


def test_errors_add_up_as_variances() -> None:
    graph = flame(a_profile({"b a": 500, "c a": 300}, errors={"b a": 30, "c a": 40}))
    assert [round(box.error / 1.96, 9) for box in graph.boxes] == [50, 30, 40]


def test_what_is_too_narrow_is_left_out_and_counted() -> None:
    graph = flame(a_profile({"b a": 990, "d c a": 6, "e": 4}), least=0.005)
    assert [box.place.function for box in graph.boxes] == ["a", "b", "c", "d"]
    assert (graph.left_out, graph.least) == (1, 5)


def test_an_empty_profile_has_no_boxes() -> None:
    graph = flame(a_profile({}))
    assert graph.boxes == () and graph.depth == 0
    assert "nothing" in svg(graph, ["x"])


@given(
    st.dictionaries(
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=5).map(" ".join), st.integers(1, 1000), max_size=20
    ),
    st.booleans(),
)
def test_boxes_fit_into_their_callers_and_add_up(stacks: dict[str, int], inverted: bool) -> None:
    profile = a_profile(stacks)
    graph = flame(profile, inverted=inverted)
    inside: dict[int, list[Box]] = defaultdict(list)
    for box in graph.boxes:
        inside[box.parent].append(box)
        if box.parent >= 0:
            caller = graph.boxes[box.parent]
            assert caller.depth == box.depth - 1
            assert caller.left <= box.left and box.left + box.width <= caller.left + caller.width
    for parent, row in inside.items():
        ends = [box.left + box.width for box in row]
        assert all(end <= after.left for end, after in zip(ends, row[1:], strict=False)), "no two overlap"
        if parent >= 0:
            caller = graph.boxes[parent]
            assert caller.value == caller.own + sum(box.value for box in row)
    assert sum(box.value for box in inside[-1]) == sum(stacks.values())
    if not inverted:
        flat: dict[str | None, float] = defaultdict(float)
        for box in graph.boxes:
            flat[box.place.function] += box.own
        assert all(row.flat == flat[row.place.function] for row in top(profile).rows)


def titles(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)
    return [title.text or "" for group in root.iter(f"{SVG}g") for title in group.iter(f"{SVG}title")]


def test_titles_tell_the_numbers_in_full() -> None:
    profile = a_profile({"work:7 main:9": 3 << 20}, errors={"work:7 main:9": 100e3})
    found = titles(svg(flame(profile, by="line"), ["server.tide: bytes in use"]))
    assert found[0] == "everything  3.00 MiB"
    assert found[2] == ("work /src/work.c:7\n3.00 MiB +/- 191 KiB, 100 % of everything\n3.00 MiB of its own\n/bin/prog")


def test_a_reader_of_screens_is_told_the_heaviest_paths() -> None:
    root = ElementTree.fromstring(svg(flame(a_profile({"b a": 2048, "c a": 1024})), ["x.tide: bytes in use"]))
    labelled = {element.get("id"): element.text or "" for element in root if element.get("id")}
    assert root.get("role") == "img" and (root.get("aria-labelledby") or "").split() == ["title", "desc"]
    assert labelled["title"] == "Flame graph: x.tide: bytes in use"
    assert "callers first: 2.00 KiB a > b; 1.00 KiB a > c." in labelled["desc"]


def test_names_are_cut_to_their_boxes() -> None:
    long = "ns::Map<std::pair<int, long>, std::less<int> >::insert_or_assign(int const&, long&&)"
    profile = a_profile({"b a": 900, "c a": 100})
    frames = [replace(f, function=long) if f.function != "a" else f for f in profile.stacks.frames]
    picture = svg(flame(replace(profile, stacks=StackTable(frames, profile.stacks.stacks))), ["x"])
    shown = [text.text for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]
    assert f"{long.replace('&', '&')}  900 B" in shown
    assert "ns::Map::inser…" in shown


@pytest.mark.parametrize("by", ["function", "line", "file", "module", "address"])
def test_every_granularity_has_a_picture(by: str) -> None:
    profile = a_profile({"work:7 main:9": 5, "0x1234 main:9": 3})
    picture = svg(flame(profile, by=by), ["x"])  # type: ignore[arg-type]
    assert ElementTree.fromstring(picture).tag == f"{SVG}svg"
    assert picture == svg(flame(profile, by=by), ["x"])  # type: ignore[arg-type]


def test_light_and_dark_have_the_same_rules() -> None:
    picture = svg(flame(a_profile({"b a": 5})), ["x"])
    light, dark = re.split("@media", picture, maxsplit=1)
    rule = re.compile(r"\.(\w+)\{fill:(#\w{6})\}")
    assert {name for name, _ in rule.findall(light)} == {name for name, _ in rule.findall(dark)}
    assert dict(rule.findall(light))["paper"] == "#ffffff" and dict(rule.findall(dark))["paper"] != "#ffffff"


@pytest.fixture
def heap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("x.heap").write_bytes(FILE)
    return tmp_path


def run(*arguments: str) -> int:
    return status_of(cli, "heaptide", ["flame", *arguments])


def test_the_verb_draws_foreign_files_too(heap: Path) -> None:
    assert run("x.heap", "-o", "x.svg", "--by", "address", "--width", "800") == 0
    root = ElementTree.fromstring((heap / "x.svg").read_text())
    assert root.get("width") == "800"
    assert "everything  600 B" in [text.text for text in root.iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["x.heap"], 2, "Missing option '-o'"),
        (["x.heap", "-o", "x.png"], 2, "x.png: .png is no flame graph's"),
        (["x.heap", "-o", "x"], 2, "a name without an ending"),
        (["x.heap", "-o", "no/x.svg"], 2, "no/x.svg cannot be written"),
        (["x.heap", "--base", "x.heap", "-o", "x.svg"], 4, "nothing changed"),
        (["x.heap", "--focus", "nobody", "-o", "x.svg"], 4, "the filters leave nothing"),
        (["x.heap", "--born", "start..end", "--value", "alloc_space", "-o", "x.svg"], 2, "use --value inuse_space"),
    ],
)
def test_mistakes(
    heap: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, message: str
) -> None:
    assert run(*arguments) == status
    assert message in capsys.readouterr().err
    assert not (heap / "x.svg").exists()
