# SPDX-License-Identifier: Apache-2.0
"""The page for everybody: axe-core's rules in light and dark with each tab open, the keyboard alone, narrow windows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.accessibility import COLOURS, findings
from tests.browser.conftest import Recordings
from tests.browser.looking import command, open_tab, table_rows
from tests.browser.visits import Visit

TABS = ("Flame graph", "Table", "Call graph", "Survivors by birth", "Sizes", "Ledger")


@pytest.fixture
def report(reports: dict[Path, Path], recordings: Recordings) -> Path:
    return reports[recordings.exact]


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("tab", name=name, exact=True)


def show(page: Page, name: str) -> Locator:
    """The panel of a tab, drawn."""
    panel = open_tab(page, name)
    if name == "Call graph":
        expect(panel.get_by_role("application").locator("svg")).to_be_visible()
    return panel


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Callable[..., Visit], report: Path, scheme: str) -> None:
    page = visit(report, color_scheme=scheme).page
    expect(page.get_by_role("tab")).to_have_count(len(TABS))
    for summary in page.locator("summary:visible").all():
        summary.click()
    rules = COLOURS if scheme == "dark" else ()
    found = findings(page, rules=rules)
    for name in TABS[1:]:
        panel = show(page, name)
        found += [f"{name}: {finding}" for finding in findings(panel, rules=rules)]
    assert not found, "\n".join(found)


def test_axe_on_the_words_alone(visit: Callable[..., Visit], report: Path, tmp_path: Path) -> None:
    """axe is a script, so it gets a report without those that would cover the words."""
    words = tmp_path / "words.html"
    words.write_text(re.sub("<script.*?</script>", "", report.read_text(encoding="utf-8"), flags=re.DOTALL))
    found = findings(visit(words).page)
    assert not found, "\n".join(found)


def test_narrow(visit: Callable[..., Visit], report: Path) -> None:
    """A telephone: nothing makes the page itself scroll sideways."""
    page = visit(report, viewport={"width": 375, "height": 800}, has_touch=True).page
    for name in TABS:
        show(page, name)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 375, name


def focused(page: Page) -> str:
    """What a screen reader says of the element that has the focus, about."""
    return str(
        page.evaluate(
            """() => {
                const at = document.activeElement;
                if (!at || at === document.body) return "";
                const label = at.getAttribute("aria-label") ?? at.labels?.[0]?.textContent ?? at.textContent ?? "";
                return `${at.getAttribute("role") ?? at.tagName.toLowerCase()} ${label.trim().slice(0, 160)}`;
            }"""
        )
    )


def tab_until(page: Page, wanted: str, *, most: int = 120) -> None:
    """Presses Tab until the focus is on it."""
    seen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        seen.append(focused(page))
        if wanted in seen[-1]:
            return
    pytest.fail(f"Tab never reaches {wanted!r}, only {seen}")


def test_tab_reaches_everything_and_gets_out(visit: Callable[..., Visit], report: Path) -> None:
    page = visit(report).page
    expect(page.get_by_role("tab")).to_have_count(len(TABS))
    for wanted in (
        "Skip to the verdict",
        "Auto",
        "Resident memory",
        "Base",
        "At",
        "Find in flame graph",
        "In use",
        "Hide runtime frames",
        "tab Flame graph",
        "Search boxes",
        "tree Flame graph",
        "Command",
        "Copy",
        "The report as text",
    ):
        tab_until(page, wanted)


def test_the_keyboard_alone(visit: Callable[..., Visit], report: Path) -> None:
    page = visit(report).page
    expect(page.get_by_role("tab")).to_have_count(len(TABS))
    tab_until(page, "Auto")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    tab_until(page, "Base")
    page.keyboard.press("PageUp")
    assert "--base" in command(page)
    page.keyboard.press("Home")
    assert "--base" not in command(page)
    tab_until(page, "tab Flame graph")
    page.keyboard.press("ArrowRight")
    expect(tab(page, "Table")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Table")).to_be_visible()
    tab_until(page, "Filter rows")
    page.keyboard.type("shop::")
    before = [row["Function"] for row in table_rows(page, 50)]
    tab_until(page, "Function")
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Function")).to_have_attribute("aria-sort", "ascending")
    names = [row["Function"] for row in table_rows(page, 50)]
    assert names == sorted(before) and names != before
    tab_until(page, "shop::")
    page.keyboard.press("ArrowDown")
    second = focused(page)
    assert names[1] in second
    page.keyboard.press("Enter")
    expect(tab(page, "Flame graph")).to_have_attribute("aria-selected", "true")
