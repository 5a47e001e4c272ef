# SPDX-License-Identifier: Apache-2.0
"""The flame graph in the browser, by its keyboard, its mouse and its search; numbers are those of `heaptide top`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from heaptide.render import units
from tests.browser.conftest import Recordings
from tests.browser.visits import Visit


@pytest.fixture
def page(visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings) -> Page:
    tab = visit(reports[recordings.exact].as_uri() + "#view=flame")
    return tab.page


def graph(page: Page) -> Locator:
    return page.get_by_role("tree", name="Flame graph")


def chosen(page: Page) -> Locator:
    """The box that the keyboard stands on."""
    return graph(page).get_by_role("treeitem", selected=True)


def walk_to(page: Page, function: str) -> None:
    """Arrow down, always into the heaviest callee."""
    graph(page).focus()
    for _ in range(20):
        if function in (chosen(page).text_content() or ""):
            return
        page.keyboard.press("ArrowDown")
    pytest.fail(f"no {function} below: {chosen(page).text_content()}")


def test_the_whole_is_what_top_prints(page: Page, recordings: Recordings, ask: Callable[..., Any]) -> None:
    whole = ask("top", recordings.exact, "--json")["total"]
    expect(chosen(page)).to_contain_text(f"{units.size(whole)}, 100 %")


def test_arrows_enter_and_escape(page: Page, recordings: Recordings, ask: Callable[..., Any]) -> None:
    rows = {row["function"]: row for row in ask("top", recordings.exact, "--json")["rows"]}
    walk_to(page, "shop::serve(double)")
    expect(chosen(page)).to_contain_text(units.size(rows["shop::serve(double)"]["cum"]))
    page.keyboard.press("ArrowDown")
    first = chosen(page).text_content() or ""
    page.keyboard.press("ArrowRight")
    expect(chosen(page)).not_to_have_text(first)
    page.keyboard.press("ArrowLeft")
    expect(chosen(page)).to_have_text(first)
    page.keyboard.press("Enter")
    zoomed = page.get_by_role("navigation", name="Zoomed to")
    expect(zoomed).to_be_visible()
    expect(zoomed.locator("[aria-current=location]")).not_to_be_empty()
    page.keyboard.press("Escape")
    expect(zoomed).to_be_hidden()


def test_search(page: Page, recordings: Recordings, ask: Callable[..., Any]) -> None:
    """A stack counts once, however many of its boxes match: parse_rules calls itself seven times."""
    rows = {row["function"]: row for row in ask("top", recordings.exact, "--json")["rows"]}
    search = page.get_by_role("searchbox", name="Search boxes")
    graph(page).focus()
    page.keyboard.press("/")
    expect(search).to_be_focused()
    page.keyboard.type("parse_rules")
    held = rows["shop::parse_rules(int)"]["cum"]
    whole = rows["main"]["cum"]
    expect(page.get_by_text(f"boxes, {units.size(held)} ({units.percent(held, whole)})").first).to_be_visible()
    page.keyboard.press("Enter")
    expect(chosen(page)).to_contain_text("shop::parse_rules(int)")
    search.fill("no such function")
    expect(page.get_by_text("no match").first).to_be_visible()
    search.fill("/(/")
    expect(page.get_by_text("not a valid expression")).to_be_visible()


def test_a_click_zooms(page: Page) -> None:
    picture = graph(page).locator("canvas")
    picture.scroll_into_view_if_needed()
    place = picture.bounding_box()
    assert place is not None
    page.mouse.click(place["x"] + place["width"] / 4, place["y"] + 50)  # the third row or so: far from the root
    zoomed = page.get_by_role("navigation", name="Zoomed to")
    expect(zoomed).to_be_visible()
    here = zoomed.locator("[aria-current=location]").text_content()
    link = page.url
    assert here and "focus=" in link
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_role("navigation", name="Zoomed to").locator("[aria-current=location]")).to_have_text(here)
    page.get_by_role("button", name="reset zoom").click()
    expect(zoomed).to_be_hidden()
