# SPDX-License-Identifier: Apache-2.0
"""`heaptide live` on real programs: what is recorded is found, followed to its end and through exec, and drawn."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heaptide import build
from heaptide.analysis.spots import closely
from heaptide.cli import recorders
from heaptide.cli.following import Following
from heaptide.cli.naming import BackgroundNames
from heaptide.model import Series
from heaptide.symbolize import Symbolizer
from heaptide.tui.details import details
from tests.builders import hostile
from tests.builders.live import View, run_series
from tests.builders.terminal import Terminal, leaking_server

PATIENCE_S = 100.0
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) char *grow(void) {
  return malloc(1000); /* the site */
}
char *volatile kept;
int main(int argc, char **argv) {
  char line[100];
  setvbuf(stdin, 0, _IONBF, 0); /* what is read ahead is lost at exec */
  while (fgets(line, sizeof line, stdin)) {
    if (!strcmp(line, "exec\n")) execl(argv[0], argv[0], "again", (char *)0);
    for (int i = atoi(line); i > 0; i--) kept = grow();
    puts("done");
    fflush(stdout);
  }
  return argc > 1 ? 3 : 0;
}
"""


class Running:
    """A program that does what it is told, recorded."""

    def __init__(self, process: subprocess.Popen[str], capture: Path) -> None:
        self.process, self.capture = process, capture

    def grow(self, blocks: int) -> None:
        """Allocates so many blocks of 1,000 bytes, and has done so when this returns."""
        self.tell(str(blocks))
        assert self.process.stdout is not None and self.process.stdout.readline() == "done\n"

    def tell(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    (folder / "grower.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-g", "-o", folder / "grower", folder / "grower.c"], check=True)
    return folder / "grower"


@pytest.fixture
def running(program: Path, recorder: Path, agent: Path, tmp_path: Path) -> Iterator[Running]:
    capture = tmp_path / "grower.tide"
    command = [recorder, "--exact", "-o", str(capture), "--", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Running(process, capture)
        process.kill()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"still no {what}"
        time.sleep(0.02)


def follow(running: Running) -> Following:
    until(running.capture.exists, "capture")
    return Following(str(running.capture), BackgroundNames(Symbolizer(), PATIENCE_S))


def newest(following: Following, wanted: Callable[[Series], object], what: str) -> Series:
    """The first reading that is as wanted."""
    found: list[Series] = []

    def look() -> bool:
        series = following.newest()
        found.extend([series] if series is not None else [])
        return series is not None and bool(wanted(series))

    until(look, what)
    return found[-1]


def held(series: Series) -> int:
    return series.snapshots[-1].in_use_bytes if series.snapshots else 0


def test_what_is_recorded_of_a_process(running: Running) -> None:
    running.grow(10)
    until(lambda: recorders.captures_of(running.process.pid), "capture of the process")
    (found,) = recorders.captures_of(running.process.pid)
    assert found.path == running.capture and found.pid == running.process.pid
    assert found.recorder == recorders.recorder_of(running.capture) != running.process.pid
    assert recorders.captures_of(os.getpid()) == []


def test_a_recording_is_followed_to_its_end(running: Running) -> None:
    running.grow(1000)
    following = follow(running)
    first = newest(following, lambda series: held(series) > 1_000_000, "first million bytes")
    assert first.live and following.state().going_on
    running.grow(1000)
    assert following.take_snapshot(), "the recorder can be asked"
    newest(following, lambda series: held(series) > 2_000_000, "second million bytes")
    assert running.process.stdin is not None
    running.process.stdin.close()
    last = newest(following, lambda series: not series.live, "end")
    assert last.at("end").total("inuse_space") >= 2_000_000
    assert not following.state().going_on and following.state().words == "exited with status 0"
    assert following.newest() is None and not following.take_snapshot()


def test_a_program_that_is_killed(running: Running) -> None:
    running.grow(1)
    following = follow(running)
    newest(following, lambda series: series.live and series.snapshots, "snapshot")
    running.process.kill()
    newest(following, lambda series: not series.live, "end")
    assert following.state().words == "killed by signal 9"


def test_a_recorder_that_is_killed(running: Running) -> None:
    running.grow(1)
    following = follow(running)
    newest(following, lambda series: series.live and series.snapshots, "snapshot")
    recorder = recorders.recorder_of(running.capture)
    assert recorder is not None
    os.kill(recorder, signal.SIGKILL)
    newest(following, lambda series: not series.live, "end")
    assert following.state().words == "cut short"


def test_an_agent_that_was_started_switched_off(program: Path, recorder: Path, agent: Path, tmp_path: Path) -> None:
    capture = tmp_path / "off.tide"
    command = [recorder, "--exact", "-o", str(capture), "--", program]
    environment = {**os.environ, "HEAPTIDE_ARMED": "0"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        running = Running(process, capture)
        running.grow(100)
        following = follow(running)
        newest(following, lambda series: series.snapshots, "snapshot")
        assert f"heaptide-record --arm {process.pid}" in following.state().advice
        subprocess.run([recorder, "--arm", str(process.pid)], check=True)
        running.grow(3000)
        newest(following, lambda series: held(series) > 2_000_000, "two million bytes")
        assert following.state().advice == ""
        process.kill()


def test_through_exec(running: Running) -> None:
    running.grow(1000)
    following = follow(running)
    before = newest(following, lambda series: held(series) > 1_000_000, "first million bytes")
    running.tell("exec")
    running.grow(3000)
    after = newest(following, lambda series: series.path != before.path and held(series) > 3_000_000, "next recording")
    assert after.pid == before.pid and after.command[1:] == ("again",)
    assert following.state().going_on and following.state().words == "after exec"
    assert running.process.stdin is not None
    running.process.stdin.close()
    newest(following, lambda series: not series.live, "end")
    assert following.state().words == "exited with status 3"


# ---- The command -----------------------------------------------------------------------------------------------------


def live(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heaptide", "live", *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        timeout=PATIENCE_S,
    )


def test_a_process_that_is_not_recorded(agent: Path) -> None:
    done = live(os.getpid())
    assert done.returncode == 4 and "runs without the agent" in done.stderr and "heaptide run --" in done.stderr
    done = live(2**22 + 1)
    assert done.returncode == 4 and "there is no process" in done.stderr
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, env={**os.environ, "LD_PRELOAD": str(agent)}) as process:
        until(lambda: agent.name in Path(f"/proc/{process.pid}/maps").read_text(), "agent in the process")
        done = live(process.pid)
        process.stdin.close()  # type: ignore[union-attr]
    assert done.returncode == 4 and "has the agent loaded" in done.stderr and "HEAPTIDE_OUTPUT=FILE" in done.stderr


def test_without_a_terminal_it_says_what_else_there_is(tmp_path: Path) -> None:
    done = live(hostile.a_capture(tmp_path))
    assert done.returncode == 2 and "needs a terminal" in done.stderr and "heaptide growth --json" in done.stderr


def test_a_file_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    done = live(tmp_path / "nowhere.tide")
    assert done.returncode == 3 and "nowhere.tide: No such file" in done.stderr
    done = live(tmp_path)
    assert done.returncode == 3 and "Is a directory" in done.stderr and "name a file in it" in done.stderr


def test_a_file_of_something_else_is_not_followed(program: Path) -> None:
    done = live(program)
    assert done.returncode == 3 and "expected a heaptide capture" in done.stderr and "ELF" in done.stderr


# ---- In a terminal ---------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(tmp_path: Path, need: Callable[..., None]) -> Iterator[Terminal]:
    need("tmux")
    terminal = Terminal(tmp_path / "tmux")
    yield terminal
    terminal.close()


def test_a_leaking_server_in_a_terminal(
    agent: Path, recorder: Path, repository: Path, tmp_path: Path, terminal: Terminal
) -> None:
    with leaking_server(tmp_path):
        capture = tmp_path / "server.tide"
        until(capture.exists, "capture")
        pid = next(read.pid for read in [_pid_of(capture)] if read is not None)
        environment = {"LC_ALL": "C.UTF-8", "TERM": "screen-256color", "LINES": "24", "COLUMNS": "80"}
        terminal.start(sys.executable, "-m", "heaptide", "live", pid, environment=environment)
        terminal.shows(rf"server +pid {pid} +sampled", r"following", r"RSS +[\d.]+ MiB  [▁-█]+", "s sort")
        terminal.shows(r"leak: handle_search \(server\.c:59\) grows by", r"leak +▸ handle_search server\.c:59")
        terminal.keys("Right")
        terminal.shows("← dispatch", "← main")
        terminal.keys("m")
        terminal.shows("since mark", r"growth from mark 1 \(.*\) to now")
        terminal.keys("g")
        terminal.shows("Generations", "until mark 1", r"since mark 1 .*\+[1-9.]+ MiB")
        terminal.keys("Escape")
        terminal.shows("verdict +site")  # before other keys: an escape with a key behind it is Alt and the key
        terminal.keys("/", "l", "o", "g", "i", "n", "Enter")
        terminal.shows(r"1 of \d+ sites match login", "handle_login")
        terminal.resize(120, 30)
        terminal.shows(r"rate +95 % +verdict +sure")
        terminal.keys("q")
        terminal.shows("ended with 0")


def _pid_of(capture: Path):  # type: ignore[no-untyped-def]
    until(lambda: recorders._process(capture), "process record")
    return recorders._process(capture)


def test_a_terminal_without_colours_and_without_utf8(recorded: Path, terminal: Terminal) -> None:
    environment = {"LC_ALL": "C", "TERM": "vt100"}
    terminal.start(sys.executable, "-m", "heaptide", "live", recorded, environment=environment)
    terminal.shows("exited with status 0", r"  > \w+")
    screen = terminal.screen("-e")
    assert screen.isascii() and "\x1b[7m" in screen.replace("\x1b[0;7m", "\x1b[7m"), "the cursor's line is reversed"
    assert not re.search(r"\x1b\[[\d;]*(?:3[0-7]|4[0-7]|38|48)[;m]", screen), "no colour"
    terminal.keys("q")
    terminal.shows("ended with 0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(recorded: Path, terminal: Terminal, number: int) -> None:
    environment = {"LC_ALL": "C.UTF-8", "TERM": "screen-256color", "PIDFILE": str(recorded.with_suffix(".pid"))}
    told = 'echo $$ > "$PIDFILE"; exec "$@"'
    terminal.start("sh", "-c", told, "sh", sys.executable, "-m", "heaptide", "live", recorded, environment=environment)
    terminal.shows("exited with status 0", "s sort")
    assert terminal.modes() == "1 1"
    os.kill(int(Path(environment["PIDFILE"]).read_text()), number)
    terminal.shows(f"ended with {128 + number}")
    assert terminal.modes() == "0 0"


def test_a_terminal_that_cannot_be_drawn_on(recorded: Path, terminal: Terminal) -> None:
    environment = {"LC_ALL": "C.UTF-8", "TERM": "dumb"}
    terminal.start(sys.executable, "-m", "heaptide", "live", recorded, environment=environment)
    terminal.shows(r"cannot be drawn on \(TERM=dumb\)", "ended with 2")


@pytest.fixture
def recorded(tmp_path: Path, program: Path, recorder: Path) -> Path:
    """A finished recording."""
    capture = tmp_path / "short.tide"
    command = [recorder, "--exact", "-o", str(capture), "--", program]
    subprocess.run(command, input="100\n", text=True, check=True, capture_output=True)
    until(lambda: capture.exists() and recorders.recorder_of(capture) is None, "finished capture")
    return capture


# ---- Names that were chosen to do harm -------------------------------------------------------------------------------

_COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def test_hostile_names(tmp_path: Path) -> None:
    async def check(view: View) -> None:
        await harmless(view)
        assert any("[bold]markup[/bold]" in line for line in view.lines), "no markup is obeyed"
        for keys in (("right",), ("enter",), ("escape", "5"), ("e",), ("escape", "r"), ("escape", "m", "g")):
            await view.press(*keys)
            await harmless(view)
        assert view.app.shown is not None
        for spot in view.app._table.spots.shown:
            close = closely(view.app.shown, view.app.question, spot.key)
            assert close is not None and not _COMMANDS.search(
                details(close, str.splitlines, 76).plain.replace("\n", "")
            )

    async def harmless(view: View) -> None:
        for strip in view.strips:
            for segment in strip:
                assert not _COMMANDS.search(segment.text), segment.text[:200]
                assert segment.style is None or not segment.style.link

    run_series(build.load(hostile.a_capture(tmp_path)), check, size=(200, 40))
