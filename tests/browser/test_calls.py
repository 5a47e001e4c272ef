# SPDX-License-Identifier: Apache-2.0
"""The call graph in the browser: its numbers are those of `heaptide graph`, and no name in it becomes markup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

import heaptide
from heaptide.analysis.graph import call_graph
from heaptide.render import units
from tests.browser.conftest import Recordings
from tests.browser.visits import Visit

DRAWN = {"svg", "g", "path", "polygon", "polyline", "ellipse", "text", "title"}


def picture(page: Page) -> Locator:
    frame = page.get_by_role("application", name="Picture of the call graph")
    expect(frame.locator("g.node").first).to_be_visible()
    return frame


def calls(page: Page) -> list[list[str]]:
    """Caller, callee, value, share and kind of every call in the list."""
    page.get_by_text("List of the").click()
    table = page.get_by_role("table", name="Calls of the graph")
    expect(table).to_be_visible()
    rows: list[list[str]] = table.locator("tbody tr").evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return rows


@pytest.mark.parametrize(
    ("fragment", "value", "base"), [("", "inuse_space", None), ("&value=alloc_objects&a=2", "alloc_objects", "#2")]
)
def test_the_calls_are_those_of_the_command_line(
    visit: Callable[..., Visit],
    reports: dict[Path, Path],
    recordings: Recordings,
    fragment: str,
    value: str,
    base: str | None,
) -> None:
    page = visit(f"{reports[recordings.exact].as_uri()}#view=graph{fragment}").page
    series = heaptide.open(recordings.exact)
    profile = series.at("end") if base is None else series.at("end") - series.at(base)
    graph = call_graph(profile, value=value)
    dialect = units.Plain("bytes" if value.endswith("space") else "objects", graph.whole, base is not None)
    expected = [
        [
            str(graph.nodes[edge.source].place.function),
            str(graph.nodes[edge.target].place.function),
            dialect.value(edge.weight),
            dialect.share(edge.weight),
            ", ".join(["through code not shown" if edge.residual else "direct", *["inlined"] * edge.inline]),
        ]
        for edge in graph.edges
    ]
    assert len(expected) > 5
    assert calls(page) == expected
    expect(picture(page).locator("g.node")).to_have_count(len(graph.nodes))
    expect(picture(page).locator("g.edge")).to_have_count(len(graph.edges))


def test_a_place_is_chosen_and_found_elsewhere(
    visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings
) -> None:
    page = visit(f"{reports[recordings.exact].as_uri()}#view=graph").page
    picture(page).locator("g.node").filter(has_text="parse_rules").click()
    chosen = page.get_by_role("region", name="The chosen place")
    expect(chosen.get_by_role("heading", name="parse_rules")).to_be_visible()
    chosen.get_by_role("button", name="Search in the flame graph").click()
    expect(page.get_by_role("tree", name="Flame graph")).to_be_visible()
    expect(page.get_by_role("searchbox", name="Search boxes")).to_have_value("shop::parse_rules(int)")


def test_names_are_text(visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings) -> None:
    """Nothing but shapes and text is drawn, whatever the program called its functions."""
    page = visit(f"{reports[recordings.hostile].as_uri()}#view=graph").page
    elements = picture(page).locator("svg, svg *")
    assert set(elements.evaluate_all("(all) => all.map((each) => each.localName)")) <= DRAWN
    attributes = set(elements.evaluate_all("(all) => all.flatMap((each) => each.getAttributeNames())"))
    assert not {name for name in attributes if name.startswith("on") or "href" in name}
    assert len(calls(page)) > 0
