# SPDX-License-Identifier: Apache-2.0
"""A range chosen on the page shows what `heaptide top` prints for it, in every way to choose and to count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from heaptide.render import units
from tests.browser.conftest import Recordings
from tests.browser.looking import command, drag, exact_rows, open_tab, table_rows
from tests.browser.visits import Visit

ROWS = 6
"""Rows that are compared: those that hold something; behind them stand callers of equal sums, in any order."""


@pytest.fixture(params=["exact", "sampled"])
def page(
    request: pytest.FixtureRequest, visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings
) -> Iterator[Page]:
    tab = visit(reports[getattr(recordings, request.param)])
    open_tab(tab.page, "Table")
    yield tab.page


def expect_what_top_prints(page: Page, ask: Callable[..., Any]) -> dict[str, Any]:
    """The page's total and first rows are those of the command that it names, to the byte; that command's answer."""
    words = command(page)
    assert words[:2] == ["heaptide", "top"]
    printed: dict[str, Any] = ask(*words[1:], "--json")
    unit, is_change = printed["unit"], "--base" in words
    total = page.get_by_title(f"{units.count(printed['total'], signed=is_change)} {unit}", exact=True).locator(
        "visible=true"
    )
    text = total.filter(has_text=units.quantity(printed["total"], unit, signed=is_change)).first
    expect(text).to_be_visible()
    expect_error(text.inner_text(), printed)
    flat, cum = ("Change", "Cum change") if is_change else ("Flat", "Cum")
    held = [row for row in printed["rows"] if row["flat"]][:ROWS]
    exact = [(f"{units.count(row['flat'], signed=is_change)} {unit}") for row in held]
    assert [row[flat] for row in exact_rows(page, len(held))] == exact, words
    for row, shown, theirs in zip(table_rows(page, len(held)), exact_rows(page, len(held)), held, strict=True):
        assert row[flat] == units.quantity(theirs["flat"], unit, signed=is_change)
        assert shown[cum] == f"{units.count(theirs['cum'], signed=is_change)} {unit}", (shown, theirs)
    return printed


def expect_error(text: str, printed: dict[str, Any]) -> None:
    """The error that stands beside the total is top's; of a change in use, a bound that is never narrower."""
    found = re.search(r"\(95 %: (at most )?\+/- ([0-9.]+ [KMGT]?i?B)\)", text)
    if not printed["error"] or printed["unit"] != "bytes":
        assert found is None, text
        return
    assert found is not None, text
    if found[1]:
        assert bytes_of(found[2]) > printed["error"] * 0.99, text  # 0.99: it is rounded
    else:
        assert found[2] == units.size(printed["error"]), text


def bytes_of(text: str) -> float:
    """What a text of `units.size` says."""
    number, unit = text.split()
    return float(number) * float(1024 ** ["B", "KiB", "MiB", "GiB"].index(unit))


def numbers(words: list[str]) -> tuple[int, int]:
    """Snapshot numbers of a command's --base and --at."""
    base, at = (int(words[words.index(option) + 1].removeprefix("#")) for option in ("--base", "--at"))
    return base, at


def test_the_end(page: Page, ask: Callable[..., Any]) -> None:
    assert expect_what_top_prints(page, ask)["total"] > 10_000_000


def test_a_drag(page: Page, ask: Callable[..., Any]) -> None:
    before = table_rows(page, ROWS)
    drag(page, 0.4, 0.7)
    base, at = numbers(command(page))
    assert base < at
    first = expect_what_top_prints(page, ask)
    assert table_rows(page, ROWS) != before
    drag(page, 0.85, 0.2)  # from right to left, and another range
    assert numbers(command(page)) != (base, at)
    assert expect_what_top_prints(page, ask)["total"] != first["total"]
    page.get_by_role("button", name="Reset range").click()
    expect(page.get_by_role("button", name="Reset range")).to_be_disabled()
    assert table_rows(page, ROWS) == before


def test_what_is_counted_and_how(page: Page, ask: Callable[..., Any]) -> None:
    drag(page, 0.3, 0.8)
    by = page.get_by_role("combobox", name="by")
    for value in ("Allocated", "Count", "In use", "Bytes"):
        page.get_by_role("radio", name=value, exact=True).check(force=True)
        expect_what_top_prints(page, ask)
    for granularity in ("line", "file", "module"):
        by.select_option(granularity)
        expect_what_top_prints(page, ask)
    by.select_option("function")
    page.get_by_role("checkbox", name="Hide runtime frames").uncheck()
    expect_what_top_prints(page, ask)
    page.get_by_role("radio", name="Mappings").check(force=True)
    assert expect_what_top_prints(page, ask)["total"] > 0


def test_sliders_and_typed_moments(page: Page, ask: Callable[..., Any]) -> None:
    base = page.get_by_role("slider", name="Base", exact=True)
    base.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    end = page.get_by_role("slider", name="At", exact=True)
    end.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    by_keys = numbers(command(page))
    assert by_keys[0] < by_keys[1]
    expect_what_top_prints(page, ask)
    field = page.get_by_role("textbox", name="Base, as a moment")
    field.fill("1.5s")
    field.press("Enter")
    assert numbers(command(page))[0] != by_keys[0]
    expect_what_top_prints(page, ask)
    field.fill("nonsense")
    field.press("Enter")
    expect(page.get_by_text(re.compile('"nonsense" is no moment'))).to_be_visible()
