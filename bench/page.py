# SPDX-License-Identifier: Apache-2.0
"""How large a report is, and how soon its page is there and answers, in headless Chromium.

    python -m bench.month --keep month.tide    a month of a program with 50,000 stacks
    python -m bench.page month.tide            its report; --rounds 9: the median of nine browsers instead of five
    python -m bench.page month.html            a report that is there already

Each round is a browser of its own, so nothing is warm but the system's file cache. By the page's own clock, which
starts when the address is asked for:

    first paint   first contentful paint: the words that Python wrote
    usable        the timeline takes a drag
    first drag    from the movement that selects half of the timeline to the frame in which all below has followed
    answered      the sum of the last two: a person who drags at once has the answer
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from playwright.sync_api import Locator, Page, ViewportSize, sync_playwright

WINDOW = ViewportSize(width=1440, height=1000)
QUIET_MS = 400
"""The page has followed when it changed nothing for so long; that time is not counted."""

# Notes the last change of the page and the frame that showed it. A frame is over when the task behind it runs. What is
# only spoken does not count: a live region speaks when a drag has come to rest, 0.4 s later.
_WATCH = """
window.bench = {changed: 0, shown: 0, moved: 0, usable: 0};
const isThere = () => document.querySelector('[role="img"][aria-label*=" over time"]');
const isSpoken = ({target}) => (target.closest ? target : target.parentElement)?.closest("[aria-live], [role=status]");
new MutationObserver((changes) => {
    if (changes.every(isSpoken)) return;
    bench.changed = performance.now();
    if (!bench.usable && isThere()) {
        bench.usable = bench.changed;
        requestAnimationFrame(() => setTimeout(() => (bench.usable = performance.now())));
    }
    requestAnimationFrame(() => setTimeout(() => (bench.shown = performance.now())));
}).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
addEventListener("mousemove", (event) => (bench.moved = event.timeStamp), {capture: true});
"""
_QUIET = f"() => bench.shown >= bench.changed && performance.now() - bench.changed > {QUIET_MS}"


@dataclass(frozen=True)
class Round:
    """One browser's visit, in milliseconds; the fields are the columns of the table."""

    first_paint: float
    usable: float
    first_drag: float
    answered: float


def make_report(capture: Path, report: Path) -> float:
    """Seconds that `heaptide report` takes."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "heaptide", "report", str(capture), "-o", str(report)], check=True)
    return time.monotonic() - begun


def timeline(page: Page) -> Locator:
    """The picture that is dragged on."""
    return page.get_by_role("img", name=re.compile("^(Resident memory by part|Memory in use by site) over time"))


def drag_half(page: Page) -> float:
    """Milliseconds from the movement that selects the timeline's right half to the frame that shows what it holds."""
    place = timeline(page).bounding_box()
    assert place is not None
    level = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + place["width"] / 2, level)
    page.mouse.down()
    page.evaluate("() => (bench.changed = 0)")
    page.mouse.move(place["x"] + place["width"] * 0.95, level)
    page.mouse.up()
    page.wait_for_function("() => bench.changed > 0")
    page.wait_for_function(_QUIET)
    return float(page.evaluate("() => bench.shown - bench.moved"))


def measure(executable: str, report: Path) -> Round:
    """One visit with a new browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW)
        page.add_init_script(_WATCH)
        page.goto(report.as_uri())
        timeline(page).wait_for()
        page.wait_for_function(_QUIET)
        drag = drag_half(page)
        usable = float(page.evaluate("() => bench.usable"))
        paint = float(page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        browser.close()
    return Round(paint, usable, drag, usable + drag)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("input", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    executable = shutil.which("chromium")
    if executable is None:
        parser.error("not installed: chromium (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory(prefix="heaptide-page-") as folder:
        report = options.input.absolute()
        if report.suffix != ".html":
            report = Path(folder) / "report.html"
            print(f"made in {make_report(options.input, report):.1f} s")
        print(f"report {report.stat().st_size / 1e6:.2f} MB")
        rounds = [measure(executable, report) for _ in range(options.rounds)]
    for column in fields(Round):
        values = sorted(getattr(found, column.name) for found in rounds)
        name = column.name.replace("_", " ")
        print(f"{name:12} median {statistics.median(values):5.0f} ms   ({values[0]:.0f} to {values[-1]:.0f})")


if __name__ == "__main__":
    main()
