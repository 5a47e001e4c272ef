# SPDX-License-Identifier: Apache-2.0
"""What a person finds on the page and does there: by roles, labels and keys, not by the page's insides."""

from __future__ import annotations

import re
import shlex

from playwright.sync_api import Locator, Page, expect


def timeline(page: Page) -> Locator:
    """The picture that a range is dragged on."""
    return page.get_by_role("img", name=re.compile("^(Resident memory by part|Memory in use by site) over time"))


def drag(page: Page, start: float, end: float) -> None:
    """The mouse over a part of the timeline: shares of its width."""
    timeline(page).scroll_into_view_if_needed()
    place = timeline(page).bounding_box()
    assert place is not None
    level = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + place["width"] * start, level)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * end, level, steps=10)
    page.mouse.up()


def command(page: Page) -> list[str]:
    """The command line that the page says to print the same, as words: `heaptide`, `top`, ..."""
    return shlex.split(page.get_by_role("region", name="Command").inner_text())


def open_tab(page: Page, name: str) -> Locator:
    """The panel of a tab, opened by the mouse."""
    page.get_by_role("tab", name=name, exact=True).click()
    panel = page.get_by_role("tabpanel", name=name, exact=True)
    expect(panel).to_be_visible()
    return panel


def table_rows(page: Page, most: int) -> list[dict[str, str]]:
    """The table's first rows, by column title (without the arrow of the sorted one)."""
    return _cells(page, most, "cell => cell.innerText")


def exact_rows(page: Page, most: int) -> list[dict[str, str]]:
    """The same as the pointer finds it in each cell: numbers without rounding, with their unit."""
    return _cells(page, most, "cell => cell.title")


def _cells(page: Page, most: int, read: str) -> list[dict[str, str]]:
    grid = page.get_by_role("grid", name="Table of places")
    titles = [title.rstrip(" ▾▴") for title in grid.get_by_role("columnheader").all_inner_texts()]
    rows = grid.get_by_role("row").filter(has=page.get_by_role("gridcell"))
    texts: list[list[str]] = rows.evaluate_all(
        f"(rows) => rows.slice(0, {most}).map((row) => [...row.cells].map({read}))"
    )
    return [dict(zip(titles, row, strict=True)) for row in texts]
