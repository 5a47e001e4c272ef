# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of the page in docs/pictures, anew: a program is run and recorded, its page is photographed.

    python -m tools.page_pictures [FOLDER]        needs chromium; takes three minutes

The program is the tests' shop (tests/browser/shop.cpp), once as it is and once with its leak mended. Colours are
reduced to 256, which text and flat areas survive.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copy, rmtree, which
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.commands import done, heaptide
from tests.browser.looking import drag, open_tab, timeline
from tests.browser.serving import served

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120
WIDE, NARROW = 1440, 375
HIGHEST = {WIDE: 2600, NARROW: 1900}
"""Pixels of a picture; what lies below is left out."""


def compiled(folder: Path) -> Path:
    """The shop, where its path says nothing of this machine."""
    source = Path(copy(ROOT / "tests/browser/shop.cpp", folder))
    words = ["c++", "-std=gnu++17", "-O2", "-g", "-fno-optimize-sibling-calls", str(source), "-o", str(folder / "shop")]
    subprocess.run(words, check=True)
    return folder / "shop"


def record(folder: Path) -> None:
    """before.tide and after.tide."""
    program = compiled(folder)
    runs = [("before.tide", ()), ("after.tide", ("fixed",))]
    with ThreadPoolExecutor(len(runs)) as pool:
        words = [("run", "-o", name, "--", f"./{program.name}", SECONDS, *more) for name, more in runs]
        for run in pool.map(lambda arguments: heaptide(*arguments, cwd=folder), words):
            done(run)


def open_page(browser: Browser, address: str, *, width: int = WIDE, **context: Any) -> Page:
    """A tab in which nothing moves any more."""
    page = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce", **context).new_page()
    page.goto(address)
    expect(timeline(page).first).to_be_visible()
    return page


def photograph(page: Page, picture: Path) -> None:
    """The page from its top, as a PNG of few colours."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.mouse.move(0, 0)
    width = page.viewport_size["width"] if page.viewport_size else WIDE
    height = min(HIGHEST[width], page.evaluate("() => document.documentElement.scrollHeight"))
    page.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    with Image.open(picture) as whole:
        few = whole.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)
    print(f"{picture} {few.width} x {few.height}, {picture.stat().st_size:,} bytes")


def photograph_report(browser: Browser, report: Path, pictures: Path) -> None:
    """Light; dark with a range and the table; narrow."""
    photograph(open_page(browser, report.as_uri(), color_scheme="light"), pictures / "report-light.png")
    dark = open_page(browser, report.as_uri(), color_scheme="dark")
    drag(dark, 0.33, 0.75)
    open_tab(dark, "Table")
    photograph(dark, pictures / "report-dark.png")
    narrow = open_page(browser, report.as_uri(), width=NARROW, color_scheme="light")
    photograph(narrow, pictures / "report-narrow.png")


def photograph_server(browser: Browser, folder: Path, picture: Path) -> None:
    """After and before, side by side."""
    with served("after.tide", "before.tide", cwd=folder) as address:
        page = open_page(browser, address, color_scheme="light")
        page.get_by_label("beside").select_option(label="before.tide")
        expect(page.get_by_text("less before.tide (old)")).to_be_visible()
        photograph(page, picture)
        page.context.close()


def main() -> None:
    """Make them."""
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    chromium = which("chromium")
    if chromium is None:
        sys.exit("not installed: chromium (Debian: apt install chromium)")
    folder = Path(tempfile.gettempdir()) / "shop"
    folder.mkdir()
    try:
        record(folder)
        done(heaptide("report", "before.tide", cwd=folder))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            photograph_report(browser, folder / "before.html", pictures)
            photograph_server(browser, folder, pictures / "serve.png")
            browser.close()
    finally:
        rmtree(folder)


if __name__ == "__main__":
    main()
