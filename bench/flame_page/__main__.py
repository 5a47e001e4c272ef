# SPDX-License-Identifier: Apache-2.0
"""How soon a flame graph is there and how fast it zooms, beside d3-flame-graph's, on the same tree in Chromium.

    python -m bench.flame_page           20,000 nodes: the page, d3-flame-graph, and it again with minFrameSize
    python -m bench.flame_page --nodes 300000 --only page

Ours is the page as `heaptide flame -o FILE.html` writes it, with everything else that is on it; theirs is a page with
nothing but the graph. Neither has transitions. Each measurement is a browser of its own; the forms take turns within
a round. Times are by the page's own clock:

    painted   from asking for the address to the end of the frame that shows the graph
    zoom      from a click on the same box, the heaviest in row 5, to the end of the frame that shows what it holds
    back      from the click that resets the zoom to the frame after
    frame     median time from one frame to the next while the wheel zooms in and then moves sideways; 16.7 is every one
    slow      the longest but one of twenty of these
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from bench.flame_page import data
from heaptide.render.page import html
from tools.build_page import node_path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent / "out/flame_page"
WINDOW = ViewportSize(width=1440, height=1000)
ROW = 4
"""The box that is clicked on: the heaviest callee of the heaviest callee, so many rows below the root."""
CELL = 20
QUIET_MS = 500
"""Nothing was drawn for so long: it is finished. That time is not counted."""

# Notes the last thing that was drawn, into the document or into a canvas, and the frame that showed it. A frame is over
# when the task behind it runs.
_WATCH = """
window.bench = {drawn: 0, shown: 0, clicked: 0, boxes: 0};
const drew = () => {
    bench.drawn = performance.now();
    requestAnimationFrame(() => setTimeout(() => (bench.shown = performance.now())));
};
new MutationObserver(drew).observe(document, {subtree: true, childList: true, attributes: true});
const paint = CanvasRenderingContext2D.prototype.setTransform;
CanvasRenderingContext2D.prototype.setTransform = function (...matrix) { drew(); return paint.apply(this, matrix); };
addEventListener("pointerup", (event) => (bench.clicked = event.timeStamp), {capture: true});
"""
_QUIET = f"() => bench.shown >= bench.drawn && performance.now() - bench.drawn > {QUIET_MS}"


# As a hand on the wheel: a turn for each frame, 30 to zoom in and 90 to move. Returns the times between the frames.
_PAN = """(canvas) => new Promise((done) => {
    const place = canvas.getBoundingClientRect(), frames = [];
    const turn = (now) => {
        frames.push(now);
        if (frames.length > 120) return done(frames.slice(1).map((end, i) => end - frames[i]).sort((a, b) => a - b));
        const near = frames.length <= 30;
        const look = {clientX: place.left + 300, clientY: place.top + 100, bubbles: true, cancelable: true};
        const turned = {...look, deltaY: near ? -10 : 24, ctrlKey: near, shiftKey: !near};
        canvas.dispatchEvent(new WheelEvent("wheel", turned));
        requestAnimationFrame(turn);
    };
    requestAnimationFrame(turn);
})"""


@dataclass(frozen=True)
class Times:
    """Milliseconds; the fields are columns of the table."""

    painted: float
    zoom: float
    back: float
    heap_mib: float
    frame: float
    slow: float


@dataclass(frozen=True)
class Form:
    """A page that shows the tree, and where its boxes are."""

    name: str
    address: str
    graph: str
    """Selects what holds the boxes, the root's in its first row."""


def bundle_theirs() -> str:
    """d3-flame-graph and what it needs as one script."""
    environment = {**os.environ, "PATH": node_path()}
    BUILT.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "theirs.js"):
        shutil.copy(HERE / name, BUILT)
    commands = (
        "npm ci --no-audit --no-fund --loglevel=error",
        "npx esbuild theirs.js --bundle --minify --outfile=out.js",
    )
    for command in commands:
        subprocess.run(
            [*command.split(), *(["--log-level=warning"] * ("esbuild" in command))],
            cwd=BUILT,
            env=environment,
            check=True,
        )
    return (BUILT / "out.js").read_text()


def pages(tree: data.Tree, folder: Path, only: str | None) -> list[Form]:
    """Writes the pages and says where they are."""
    ours, theirs = folder / "ours.html", folder / "theirs.html"
    ours.write_bytes(html.report(html.template(), title="bench", words="", data=data.document(tree)))
    forms = [Form("page", ours.as_uri(), ".flame-tree")]
    if only != "page":
        script = (
            f'<script id="data" type="application/json">{data.nested(tree)}</script><script>{bundle_theirs()}</script>'
        )
        theirs.write_text(f'<!doctype html><meta charset="utf-8"><div id="chart"></div>{script}')
        forms.append(Form("d3-flame-graph", theirs.as_uri(), "#chart"))
        forms.append(Form("d3, minFrameSize 1", f"{theirs.as_uri()}#least=1", "#chart"))
    return [form for form in forms if only in (None, form.name)]


def clicked(page: Page, form: Form, row: int) -> float:
    """Milliseconds from a click on the first box of a row to the end of the frame that shows what came of it."""
    place = page.locator(form.graph).bounding_box()
    assert place is not None
    page.evaluate("() => (bench.drawn = bench.shown = bench.clicked = 0)")
    page.mouse.click(place["x"] + 12, place["y"] + CELL * row + CELL / 2)
    page.wait_for_function("() => bench.clicked && bench.drawn > bench.clicked")
    page.wait_for_function(_QUIET)
    return float(page.evaluate("() => bench.shown - bench.clicked"))


def measure(executable: str, form: Form) -> Times:
    """One visit with a new browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW, reduced_motion="reduce")
        page.set_default_timeout(120_000)
        page.add_init_script(_WATCH)
        page.goto(form.address)
        page.locator(f"{form.graph} canvas, {form.graph} svg").wait_for()
        page.wait_for_function(_QUIET)
        painted = float(page.evaluate("() => bench.shown"))
        page.locator(form.graph).evaluate("(graph) => graph.scrollIntoView()")
        zoom = clicked(page, form, ROW)
        back = clicked(page, form, 0)
        heap = float(page.evaluate("() => performance.memory.usedJSHeapSize")) / (1 << 20)
        canvas = page.locator(form.graph).locator("canvas")
        frames = canvas.evaluate(_PAN) if canvas.count() else [math.nan] * 120  # an SVG does not move
        browser.close()
    return Times(painted, zoom, back, heap, frames[60], frames[113])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.flame_page", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("page", "d3-flame-graph", "d3, minFrameSize 1"))
    options = parser.parse_args(arguments)
    executable = shutil.which("chromium")
    if executable is None:
        parser.error("not installed: chromium (Debian: apt install chromium)")
    tree = data.grown(options.nodes, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        forms = pages(tree, Path(folder), options.only)
        found: dict[str, list[Times]] = {form.name: [] for form in forms}
        for turn in range(options.rounds):
            for form in forms if turn % 2 == 0 else reversed(forms):
                found[form.name].append(measure(executable, form))
    print_table(found, len(tree.parent) - 1)


def print_table(found: dict[str, list[Times]], nodes: int) -> None:
    """Medians with the smallest and the largest, in milliseconds and MiB."""
    rounds = len(next(iter(found.values())))
    print(f"{nodes:,} nodes, {rounds} rounds, {os.cpu_count()} processors, {platform.machine()}")
    print(f"{'':20}" + "".join(f"{field.name:>21}" for field in fields(Times)))
    for name, times in found.items():
        columns = zip(*map(astuple, times), strict=True)
        texts = (_text(one) for one in columns)
        print(f"{name:20}" + "".join(f"{text:>21}" for text in texts))


def _text(figures: Sequence[float]) -> str:
    if math.isnan(figures[0]):
        return "-"
    return f"{statistics.median(figures):.0f} ({min(figures):.0f} .. {max(figures):.0f})"


if __name__ == "__main__":
    main()
