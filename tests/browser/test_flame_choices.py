# SPDX-License-Identifier: Apache-2.0
"""What can be chosen in the flame graph: differences, what is left out, the menu of a box, paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from heaptide.render import units
from tests.browser.conftest import Recordings
from tests.browser.visits import Visit

PLACE = "shop::parse_rules(int)"


def graph(page: Page) -> Locator:
    return page.get_by_role("tree", name="Flame graph")


def everything(page: Page) -> Locator:
    """The box of everything, which every other one lies below."""
    return graph(page).get_by_role("treeitem", name="all,")


def find(page: Page, text: str) -> None:
    """Puts the keyboard on the first box whose name matches."""
    search = page.get_by_role("searchbox", name="Search boxes")
    search.fill(text)
    search.press("Enter")
    expect(graph(page).get_by_role("treeitem", selected=True)).to_contain_text(text)
    graph(page).focus()


def test_a_difference_by_change_and_by_what_is_there_now(
    visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings, ask: Callable[..., Any]
) -> None:
    page = visit(f"{reports[recordings.exact].as_uri()}#view=flame&a=2").page
    change = ask("top", recordings.exact, "--base", "#2", "--json")["total"]
    now = ask("top", recordings.exact, "--json")["total"]
    expect(everything(page)).to_contain_text(units.size(change, signed=True))
    expect(page.get_by_role("list", name="Colours")).to_contain_text("grew")
    page.get_by_role("combobox", name="Width").select_option("value at the end")
    expect(everything(page)).to_contain_text(f"{units.size(now)}, 100 %")
    expect(everything(page)).to_contain_text(f"change {units.size(change, signed=True)}")
    page.get_by_role("combobox", name="Colour").select_option("module")
    expect(page.get_by_role("list", name="Colours")).to_contain_text("shop")


def test_a_place_is_taken_out_and_brought_back(
    visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings, ask: Callable[..., Any]
) -> None:
    page = visit(f"{reports[recordings.exact].as_uri()}#view=flame").page
    whole = units.size(ask("top", recordings.exact, "--json")["total"])
    find(page, PLACE)
    page.keyboard.press("h")
    expect(page.get_by_text("no match").first).to_be_visible()
    expect(everything(page)).to_contain_text(f"{whole}, 100 %")  # what it held stands at its callers
    page.get_by_role("button", name=f"no longer without {PLACE}").click()
    expect(page.get_by_text("no match")).to_have_count(0)


def test_only_the_stacks_through_a_place(
    visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings, ask: Callable[..., Any]
) -> None:
    page = visit(f"{reports[recordings.exact].as_uri()}#view=flame").page
    answer = ask("top", recordings.exact, "--json")
    held = next(row["cum"] for row in answer["rows"] if row["function"] == PLACE)
    find(page, PLACE)
    page.keyboard.press("Shift+F10")
    menu = page.get_by_role("menu", name="What to do with the box")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(menu).to_be_hidden()
    expect(everything(page)).to_contain_text(f"{units.size(held)}, {units.percent(held, answer['total'])}")
    page.reload()  # the address holds it
    expect(everything(page)).to_contain_text(units.size(held))


def test_a_click_takes_the_box_under_the_pointer(
    visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings
) -> None:
    """Rows that were scrolled to stay where they are when the graph gets the focus with the click."""
    page = visit(f"{reports[recordings.exact].as_uri()}#view=flame", viewport={"width": 900, "height": 300}).page
    canvas = graph(page).locator("canvas")
    canvas.scroll_into_view_if_needed()
    rows = canvas.locator("xpath=../..")
    rows.evaluate("(rows) => (rows.scrollTop = 40)")
    assert rows.evaluate("(rows) => rows.scrollTop") == 40
    place = canvas.bounding_box()
    assert place is not None
    page.mouse.click(place["x"] + 10, place["y"] + 10)  # two rows below the root's
    path = page.get_by_role("navigation", name="Zoomed to").get_by_role("listitem")
    expect(path).to_have_count(3)


def test_stacks_from_the_site(
    visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings, ask: Callable[..., Any]
) -> None:
    """The first row is what `top` prints as flat, the heaviest first; below a site are its callers."""
    page = visit(f"{reports[recordings.exact].as_uri()}#view=flame").page
    page.get_by_role("combobox", name="Stacks").select_option("from the site")
    sites = ask("top", recordings.exact, "--json")["rows"]
    graph(page).focus()
    page.keyboard.press("ArrowDown")
    for site in sites[:3]:
        box = graph(page).get_by_role("treeitem", selected=True)
        expect(box).to_contain_text(f"{site['function']}, {units.size(site['flat'])}")
        page.keyboard.press("ArrowRight")
    for _ in range(20):
        page.keyboard.press("ArrowDown")
    expect(graph(page).get_by_role("treeitem", selected=True)).to_contain_text("_start")


def test_paper_gets_every_row(visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings) -> None:
    """In a low window most rows are scrolled away; a printer cannot scroll."""
    tab = visit(f"{reports[recordings.exact].as_uri()}#view=flame", viewport={"width": 900, "height": 240})
    canvas = graph(tab.page).locator("canvas")
    expect(canvas).to_be_visible()
    tab.settle()
    rows = canvas.evaluate("(canvas) => canvas.parentElement.clientHeight")
    height = "(canvas) => canvas.clientHeight"
    assert canvas.evaluate(height) < rows
    tab.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert canvas.evaluate(height) == rows
    tab.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    tab.settle()
    assert canvas.evaluate(height) < rows
