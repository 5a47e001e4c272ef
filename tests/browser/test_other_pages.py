# SPDX-License-Identifier: Apache-2.0
"""Pages of less than a whole recording: a foreign file's one moment, the flame graph alone, a program that is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from heaptide.render import units
from tests.browser.commands import done, heaptide
from tests.browser.conftest import Recordings
from tests.browser.looking import exact_rows, open_tab
from tests.browser.visits import Visit


def test_a_foreign_file(
    visit: Callable[..., Visit], recordings: Recordings, ask: Callable[..., Any], tmp_path: Path
) -> None:
    """One moment has no timeline and no growth; everything else is there."""
    file, report = tmp_path / "shop.pb.gz", tmp_path / "shop.html"
    done(heaptide("convert", recordings.exact, "-o", file))
    done(heaptide("report", file, "-o", report))
    page = visit(report).page
    open_tab(page, "Table")
    rows = [row for row in ask("top", file, "--json")["rows"] if row["flat"]]
    assert len(rows) > 3
    assert [row["Flat"] for row in exact_rows(page, len(rows))] == [f"{units.count(row['flat'])} bytes" for row in rows]
    expect(page.get_by_role("slider")).to_have_count(0)
    expect(page.get_by_role("tab", name="Ledger")).to_be_hidden()


def test_the_flame_graph_alone(visit: Callable[..., Visit], recordings: Recordings, tmp_path: Path) -> None:
    picture = tmp_path / "flame.html"
    done(heaptide("flame", recordings.exact, "-o", picture))
    page = visit(picture).page
    graph = page.get_by_role("tree", name="Flame graph")
    expect(graph.get_by_role("treeitem", selected=True)).to_contain_text("100 %")
    expect(page.get_by_role("tab", name="Table")).to_have_count(0)
    graph.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Zoomed to")).to_be_visible()


def test_a_recording_too_short_to_judge(visit: Callable[..., Visit], recordings: Recordings, tmp_path: Path) -> None:
    capture, report = tmp_path / "short.tide", tmp_path / "short.html"
    done(heaptide("run", "--exact", "-o", capture, "--", recordings.program, "0.05"))
    done(heaptide("report", capture, "-o", report))
    page = visit(report).page
    expect(page.get_by_role("tab", name="Table")).to_be_visible()
    expect(page.get_by_role("heading", level=1).locator("visible=true")).to_contain_text("too short")
