# SPDX-License-Identifier: Apache-2.0
"""The page's table, whole: every row and every text of it is what Python makes of the same profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

import heaptide
from heaptide.analysis.places import Granularity, unit_of
from heaptide.analysis.site import no_frame, not_users
from heaptide.analysis.top import Top, top
from heaptide.model import Profile, Series
from heaptide.render import names, units
from heaptide.render.page.texts import clean
from tests.browser.conftest import Recordings
from tests.browser.visits import Visit

# What is asked for: the range as shares of the recording's snapshots (no base: None), value, granularity, kind of
# memory, and whether runtime frames are hidden.
Question = tuple[float | None, float, str, Granularity, str, bool]

QUESTIONS: list[Question] = [
    (None, 1.0, "inuse_space", "function", "heap", True),
    (None, 0.5, "alloc_objects", "line", "heap", True),
    (0.3, 0.7, "inuse_space", "function", "heap", False),
    (0.2, 0.9, "alloc_space", "file", "heap", True),
    (0.6, 0.8, "inuse_objects", "module", "heap", False),
    (None, 1.0, "inuse_space", "address", "heap", False),
    (0.1, 1.0, "inuse_space", "function", "mmap", True),
]


def asked(series: Series, question: Question) -> tuple[Top, str]:
    """Python's table, and the fragment of the page's address that asks for the same."""
    base, at, value, by, kind, hide = question
    shots = series.snapshots
    last = shots.index(series.moment("end"))
    number = {share: shots[int(share * last)].number for share in (base, at) if share is not None}
    source = series if kind == "heap" else series.mappings
    assert source is not None

    def profile(share: float) -> Profile:
        return source.at(f"#{number[share]}")

    before = None if base is None else profile(base)
    shown = profile(at) if before is None else profile(at) - before
    table = top(shown, value=value, by=by, skip=not_users if hide else no_frame, before=before)
    words = {"view": "table", "value": value, "by": by, "kind": kind, "hide": int(hide), "b": number[at]}
    return table, urlencode(words if base is None else {**words, "a": number[base]})


def expected(table: Top, by: Granularity) -> list[str]:
    """The rows as lines of text, sorted: which of two equal ones stands first is nobody's business."""
    unit = unit_of(table.value)
    lines = []
    for row in table.rows:
        flat, cum = units.percent(row.flat, table.whole), units.percent(row.cum, table.whole)
        if row.before is None:
            cells = [units.quantity(row.flat, unit), flat, units.quantity(row.cum, unit), cum]
        else:
            old, change = row.before[0], row.flat
            both = [units.quantity(amount, unit) for amount in (old, old + change)]
            signed = [units.quantity(amount, unit, signed=True) for amount in (change, row.cum)]
            cells = [*both, signed[0], flat, units.times(old, old + change), signed[1]]
        name, source = names.row_name(row)
        if not source:  # the page has a column for it: the module, or why there is no name
            source = names.base_name(row.module or "") if row.place.function else f"({row.place.unresolved})"
        cells += [clean(name), source] if by == "function" else [clean(name)]
        lines.append("|".join(cell.strip() for cell in cells))
    return sorted(lines)


def shown(page: Page, rows: int) -> list[str]:
    """The page's rows in the same form. Only those that can be seen are there: it is paged through by keys."""
    grid = page.get_by_role("grid", name="Table of places")
    expect(grid).to_have_attribute("aria-rowcount", str(rows + 1))
    there = grid.get_by_role("row").filter(has=page.get_by_role("gridcell"))
    found: dict[str, str] = {}
    there.first.focus()
    for _ in range(rows):
        found |= dict(there.evaluate_all("rows => rows.map((row) => [row.ariaRowIndex, row.innerText])"))
        if len(found) == rows:
            break
        page.keyboard.press("PageDown")
    return sorted("|".join(cell.strip() for cell in text.split("\t")) for text in found.values())


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_every_row(mode: str, visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings) -> None:
    capture: Path = getattr(recordings, mode)
    series = heaptide.open(capture)
    page = visit(reports[capture]).page
    address = page.url
    for question in QUESTIONS:
        table, fragment = asked(series, question)
        page.goto(f"{address}#{fragment}")
        expect(page.get_by_role("tab", name="Table")).to_have_attribute("aria-selected", "true")
        assert table.rows, question
        assert shown(page, len(table.rows)) == expected(table, question[3]), question
