# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of `heaptide live` in docs/pictures, anew: what a real terminal shows of a program that runs.

    python -m tools.live_pictures [FOLDER]        needs tmux and chromium; takes half a minute

tmux tells the screen with its colours; rich draws it as SVG, and Chromium makes a PNG of that.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from shutil import which

from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from tests.builders.terminal import Terminal, leaking_server

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TERM": "screen-256color"}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    with tempfile.TemporaryDirectory(prefix="live-") as name, leaking_server(Path(name)):
        terminal = Terminal(Path(name) / "tmux")
        try:
            shots = follow(terminal, Path(name) / "server.tide")
        finally:
            terminal.close()
    for picture, screen in shots.items():
        photograph(screen, folder / picture)
        print(f"{folder / picture}: {(folder / picture).stat().st_size} bytes")


def follow(terminal: Terminal, capture: Path) -> dict[str, str]:
    """What stands on the screen, with colours, by the name of the picture."""
    wait = ["sh", "-c", 'until [ -s "$1" ]; do sleep 0.1; done; exec "$0" -m heaptide live "$1"', sys.executable]
    terminal.start(*wait, capture, environment=ENVIRONMENT)
    terminal.shows("leak: handle_search", r"[3-9]\d\.\d MiB +\+")
    terminal.keys("m")
    terminal.shows("growth from mark 1")
    terminal.keys("Right")
    terminal.shows("← dispatch", "← main", r"\+[12]\d\.\d MiB")
    table = terminal.screen("-e")
    terminal.keys("m")
    terminal.shows("growth from mark 2")
    terminal.keys("g")
    terminal.shows("Generations", r"since mark 2 .*\+[1-9]")
    return {"live.png": table, "live-generations.png": terminal.screen("-e")}


def photograph(screen: str, picture: Path) -> None:
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    for line in screen.splitlines():
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    svg = console.export_svg(title="heaptide live")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.set_content(f'<body style="margin:0">{svg}</body>')
        page.locator("svg").screenshot(path=picture)
        browser.close()
    with Image.open(picture) as whole:
        few = whole.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)


if __name__ == "__main__":
    main()
