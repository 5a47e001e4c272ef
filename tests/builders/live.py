# SPDX-License-Identifier: Apache-2.0
"""Recordings that grow while they are looked at, and the view over one, driven by its pilot.

The program: `leaks` is called by `left` and `right` and frees nothing; `keeps` holds a mebibyte from the beginning;
`churns` holds two and replaces five each second; `main` calls them all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from textual.pilot import Pilot

from heaptide import build
from heaptide.analysis.spots import Question
from heaptide.analysis.watch import Watch
from heaptide.capture import format as fmt
from heaptide.model import Series
from heaptide.symbolize import Module, SourceFrame
from heaptide.tui.app import LiveApp
from heaptide.tui.seams import ExportKind, State
from tests.builders.capture import CaptureBuilder, Counter, Phdr

PATIENCE_S = 60.0
MIB = 1 << 20
_LEAKS, _KEEPS, _CHURNS, _LEFT, _RIGHT, _MAIN = (0x401001 + 0x1000 * number for number in range(6))
_FUNCTIONS = {0x1000: "leaks", 0x2000: "keeps", 0x3000: "churns", 0x4000: "left", 0x5000: "right", 0x6000: "main"}
STACKS = {
    16: (_LEAKS, _LEFT, _MAIN),
    17: (_LEAKS, _RIGHT, _MAIN),
    18: (_KEEPS, _MAIN),
    19: (_CHURNS, _MAIN),
}
_RSS = next(key for key, name in fmt.FIGURES.items() if name == "statm_resident")


class Names:
    """Names the functions above; each stands in a file of its name, at the line of its address."""

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        return [(SourceFrame(_FUNCTIONS[vaddr], f"/src/{_FUNCTIONS[vaddr]}.c", vaddr >> 8),) for vaddr in vaddrs]


def counters(number: int) -> Mapping[int, Counter]:
    """The totals at a snapshot: `leaks` has 3 MiB more each time, of which a third came through `right`."""
    churned = number * 5 * MIB
    return {
        16: Counter(alloc_bytes=number * 2 * MIB, alloc_objects=number * 2),
        17: Counter(alloc_bytes=number * MIB, alloc_objects=number),
        18: Counter(alloc_bytes=MIB, alloc_objects=1),
        19: Counter(churned + 2 * MIB, (churned >> 20) + 2, churned, churned >> 20),
    }


def recording(
    path: Path, snapshots: int, *, ended: bool = False, program: str = "prog", cause: int = fmt.END_EXITED
) -> Path:
    """Writes the program's recording after so many snapshots, one each second."""
    made = CaptureBuilder("exact").process(exe=f"/bin/{program}", argv=(program,), pid=4711)
    made.module(1, 0x400000, 0x500000, bias=0x400000, path=f"/bin/{program}", flags=fmt.MODULE_MAIN, phdrs=[Phdr()])
    made.stacks([(number, list(addresses)) for number, addresses in STACKS.items()])
    for number in range(1, snapshots + 1):
        made.snapshot("time", counters(number)).memory({_RSS: (number * 3 + 4) * MIB})
    if ended:
        made.end(cause)
    path.write_bytes(made.data())
    return path


def read(path: Path, *, before: Series | None = None) -> Series:
    """As it is now."""
    return build.load(path, symbolizer=Names(), before=before)


class Scripted:
    """A `Source` that hands over what a test lays ready."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told = State(True)
        self.snapshots_asked = 0
        self.grants_snapshots = False
        self.next: Series | None = None

    def lay(self, snapshots: int, **options: bool | str) -> None:
        """The recording has grown."""
        series = read(recording(self.path, snapshots, **options))  # type: ignore[arg-type]
        series.started_realtime_ns += len(options.get("program", ""))  # another program's recording began later
        self.next = series

    def newest(self) -> Series | None:
        found, self.next = self.next, None
        return found

    def state(self) -> State:
        return self.told

    def take_snapshot(self) -> bool:
        self.snapshots_asked += 1
        return self.grants_snapshots


class Written:
    """An `Exporter` that remembers."""

    def __init__(self) -> None:
        self.asked: list[tuple[ExportKind, Question]] = []

    def write(self, kind: ExportKind, watch: Watch, question: Question) -> str:
        self.asked.append((kind, question))
        return f"prog.{kind}"


class View:
    """The running view: keys go in, lines come out."""

    def __init__(self, app: LiveApp, pilot: Pilot[None], source: Scripted) -> None:
        self.app, self.pilot, self.source = app, pilot, source

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        return ["".join(segment.text for segment in strip).rstrip() for strip in self.strips]

    @property
    def strips(self):  # type: ignore[no-untyped-def]
        return self.app.screen._compositor.render_strips()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def sites(self) -> list[str]:
        """The table's lines."""
        top = next(number for number, line in enumerate(self.lines) if "verdict" in line and "site" in line) + 1
        return [line for line in self.lines[top:-2] if line.strip(" ▁▂▃▄▅▆▇█")]

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Lets the view work until a condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"still no {what} in:\n{self.text}"
            await self.pilot.pause(0.02)

    async def shows(self, *texts: str) -> None:
        """Lets the view work until all of these stand on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), f"{texts}")

    async def grows(self, snapshots: int, **options: bool | str) -> None:
        """The recording grows, and the view has seen it."""
        self.source.lay(snapshots, **options)
        await self.until(lambda: self.app.shown is not None and self.app.shown.at.number == snapshots, "news")


def run_view(
    path: Path,
    test: Callable[[View], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    snapshots: int = 20,
    exporter: Written | None = None,
    **options: bool,
) -> None:
    """Runs a test on the view of a recording of so many snapshots, all of it read and judged."""
    source = Scripted(path)
    source.lay(snapshots)
    _run(source, test, size, exporter, options)


def run_series(series: Series, test: Callable[[View], Awaitable[None]], *, size: tuple[int, int]) -> None:
    """The same on a recording that there is."""
    source = Scripted(Path(series.path))
    source.next = series
    _run(source, test, size, None, {})


def _run(
    source: Scripted,
    test: Callable[[View], Awaitable[None]],
    size: tuple[int, int],
    exporter: Written | None,
    options: Mapping[str, bool],
) -> None:
    app = LiveApp(source, exporter or Written(), lambda name: f"{name} is not here", **options)

    async def body() -> None:
        async with app.run_test(size=size) as pilot:
            view = View(app, pilot, source)
            judged = lambda: app.shown is not None and (app.shown.too_short or app.shown.accounts[0].judgements)  # noqa: E731
            await view.until(judged, "verdicts")
            await pilot.pause()
            await test(view)

    asyncio.run(body())
