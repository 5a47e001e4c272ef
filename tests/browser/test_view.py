# SPDX-License-Identifier: Apache-2.0
"""What the page shows around the table: its theme, links to a view of it, suspects, the ledger, the ages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from heaptide.render import units
from tests.browser.conftest import Recordings
from tests.browser.looking import command, drag, open_tab, table_rows, timeline
from tests.browser.visits import Visit


@pytest.fixture
def report(reports: dict[Path, Path], recordings: Recordings) -> Path:
    return reports[recordings.exact]


def brightness(page: Page) -> float:
    """Of the page's ground: 0 is black, 255 white."""
    return float(
        page.evaluate(
            """() => {
                const grounds = [document.documentElement, document.body];
                const colours = grounds.map((at) => getComputedStyle(at).backgroundColor);
                const seen = colours.find((colour) => !/, 0\\)$|transparent/.test(colour)) ?? "rgb(255, 255, 255)";
                const [red, green, blue] = seen.match(/[\\d.]+/g).map(Number);
                return (red + green + blue) / 3;
            }"""
        )
    )


def test_the_verdict(
    visit: Callable[..., Visit], report: Path, recordings: Recordings, ask: Callable[..., Any]
) -> None:
    """The first thing on the page is what `growth` says first."""
    page = visit(report).page
    expect(timeline(page)).to_be_visible()
    verdict = ask("growth", recordings.exact).splitlines()[2]
    assert verdict.startswith("leak: shop::open_session(int) (shop.cpp:")
    heading = page.get_by_role("heading", level=1).locator("visible=true")
    expect(heading).to_have_text(re.compile(re.escape(verdict).replace(":\\ ", ":?\\s*", 1)), use_inner_text=True)
    assert "exact.tide" in page.title()


def test_dark(visit: Callable[..., Visit], report: Path) -> None:
    page = visit(report, color_scheme="light").page
    expect(timeline(page)).to_be_visible()
    light = brightness(page)
    page.get_by_role("radio", name="Dark").check(force=True)
    assert brightness(page) < 80 < 200 < light
    page.reload()
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    assert brightness(page) < 80
    page.get_by_role("radio", name="Auto").check(force=True)
    assert brightness(page) == light
    page.emulate_media(color_scheme="dark")
    assert brightness(page) < 80


def test_a_link_restores_the_view(visit: Callable[..., Visit], report: Path) -> None:
    page = visit(report).page
    drag(page, 0.3, 0.8)
    page.get_by_role("radio", name="Allocated").check(force=True)
    page.get_by_role("combobox", name="by").select_option("line")
    open_tab(page, "Table")
    page.get_by_role("searchbox", name="Filter rows").fill("shop::")
    page.get_by_role("columnheader", name="Times").get_by_role("button").click()
    rows, words = table_rows(page, 50), command(page)
    assert len(rows) > 3 and "--base" in words
    other = visit(page.url).page
    expect(other.get_by_role("tab", name="Table")).to_have_attribute("aria-selected", "true")
    assert command(other) == words
    assert table_rows(other, 50) == rows
    expect(other.get_by_role("columnheader", name="Times")).to_have_attribute("aria-sort", "descending")


def test_a_link_by_hand(visit: Callable[..., Visit], report: Path) -> None:
    """What a fragment says that makes no sense is as if it were not there."""
    address = (
        f"{report.as_uri()}#a=99999999999&b=-1&view=nothing&value=x&by=%ff&kind=q&sort=&q=%00(&focus=a%2Fb&theme=5"
    )
    page = visit(address).page
    expect(page.get_by_role("tab", selected=True)).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_suspects(visit: Callable[..., Visit], report: Path, recordings: Recordings, ask: Callable[..., Any]) -> None:
    page = visit(report).page
    suspects = [one for one in ask("growth", recordings.exact, "--json")["suspects"] if one["confidence"] > 0.5]
    leak = next(one for one in suspects if one["function"].startswith("shop::open_session"))
    card = page.get_by_role("article").filter(has_text=leak["function"]).first
    expect(card).to_contain_text("leak")
    expect(card).to_contain_text(f"shop.cpp:{leak['line']}")
    expect(card).to_contain_text("session->state.resize(2000);")
    rate = re.search(r"^1\. leak .*\n +(?:mapped memory, )?(.+?) \(95 %", ask("growth", recordings.exact), re.MULTILINE)
    assert rate is not None
    expect(card).to_contain_text(rate[1])
    card.get_by_role("button", name="Find in table").click()
    expect(page.get_by_role("tabpanel", name="Table")).to_be_visible()
    assert table_rows(page, 1)[0]["Function"] == leak["function"]
    card.get_by_role("button", name="Find in flame graph").click()
    expect(page.get_by_role("searchbox", name="Search boxes")).to_have_value(leak["function"])
    mapped = page.get_by_role("article").filter(has_text="shop::Journal::extend()").first
    mapped.get_by_role("button", name="Find in table").click()
    expect(page.get_by_role("radio", name="Mappings")).to_be_checked()
    assert table_rows(page, 1)[0]["Function"] == "shop::Journal::extend()"


def test_ledger(visit: Callable[..., Visit], report: Path, recordings: Recordings, ask: Callable[..., Any]) -> None:
    page = visit(report).page
    panel = open_tab(page, "Ledger")
    printed = ask("ledger", recordings.exact, "--json")
    resident = panel.get_by_role("row").filter(has=page.get_by_role("rowheader", name="resident", exact=True))
    expect(resident).to_contain_text(units.size(printed["rss_bytes"]))
    heap = panel.get_by_role("row").filter(has=page.get_by_role("rowheader", name="blocks in use"))
    expect(heap).to_contain_text(
        units.size(next(part["bytes"] for part in printed["parts"] if part["name"] == "in_use"))
    )


def test_sites_over_time(visit: Callable[..., Visit], report: Path) -> None:
    page = visit(report).page
    page.get_by_role("radio", name="In use by site").check(force=True)
    expect(timeline(page)).to_have_attribute("aria-label", re.compile("shop::open_session"))
    open_tab(page, "Survivors by birth")
    expect(page.get_by_role("region", name="Survivors by birth, as a table")).to_contain_text("shop::open_session(int)")


def test_reset_by_a_click(visit: Callable[..., Visit], report: Path) -> None:
    """A click on the timeline is a moment without a base."""
    page = visit(report).page
    drag(page, 0.3, 0.8)
    assert "--base" in command(page)
    drag(page, 0.55, 0.55)
    assert "--base" not in command(page) and "--at" in command(page)
