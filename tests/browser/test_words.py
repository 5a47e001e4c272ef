# SPDX-License-Identifier: Apache-2.0
"""What can be read in a report whatever the browser does with its scripts: on screen, and on paper."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_printed(
    visit: Callable[..., Visit],
    reports: dict[Path, Path],
    recordings: Recordings,
    ask: Callable[..., Any],
    need: Callable[..., None],
    tmp_path: Path,
) -> None:
    need("pdftotext")
    pdf = tmp_path / "report.pdf"
    visit(reports[recordings.exact]).page.pdf(path=pdf, format="A4")
    printed = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], check=True, capture_output=True, text=True)
    words = " ".join(printed.stdout.split())
    judged = ask("growth", recordings.exact, "--json")
    assert f"{judged['verdict']}: shop::open_session(int) (shop.cpp:" in words
    for suspect in judged["suspects"]:
        if suspect["verdict"] in {"leak", "growing"}:
            assert f"{suspect['function']} (shop.cpp:{suspect['line']})" in words
    assert "resident memory" in words
