# SPDX-License-Identifier: Apache-2.0
"""What can be read in a report whatever the browser does with its scripts: on screen, and on paper."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from heaptide.render import units
from tests.browser.conftest import Recordings
from tests.browser.visits import Visit


def test_without_javascript(
    visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings, ask: Callable[..., Any]
) -> None:
    page = visit(reports[recordings.exact], java_script_enabled=False).page
    judged = ask("growth", recordings.exact, "--json")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text(judged["verdict"])
    expect(heading).to_contain_text("shop::open_session(int)")
    for suspect in judged["suspects"]:
        expect(page.get_by_text(f"{suspect['function']} (shop.cpp:{suspect['line']})").first).to_be_visible()
    table = page.get_by_role("table", name="bytes in use at the end")
    for row in ask("top", recordings.exact, "--json")["rows"][:5]:
        place = table.get_by_role("row").filter(has_text=row["function"])
        expect(place).to_contain_text(units.size(row["flat"]))
        expect(place).to_contain_text(units.size(row["cum"]))


@pytest.mark.parametrize("scripts", [True, False], ids=["the page", "the words alone"])
def test_printed(
    visit: Callable[..., Visit],
    reports: dict[Path, Path],
    recordings: Recordings,
    ask: Callable[..., Any],
    need: Callable[..., None],
    tmp_path: Path,
    scripts: bool,
) -> None:
    need("pdftotext")
    page = visit(reports[recordings.exact], java_script_enabled=scripts).page
    if scripts:
        expect(page.get_by_role("tab", name="Table")).to_be_visible()
    pdf = tmp_path / "report.pdf"
    page.pdf(path=pdf, format="A4")
    printed = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], check=True, capture_output=True, text=True)
    words = " ".join(printed.stdout.split())
    judged = ask("growth", recordings.exact, "--json")
    assert re.search(rf"{judged['verdict']}:? shop::open_session\(int\) \(shop.cpp:", words)
    for suspect in judged["suspects"]:
        if suspect["verdict"] in {"leak", "growing"}:
            assert suspect["function"] in words
    assert "resident memory" in words.lower()
