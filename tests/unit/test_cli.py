# SPDX-License-Identifier: Apache-2.0
"""The command line without a program to record: help, messages, exit statuses, documents."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heaptide.cli import main as cli_main
from heaptide.cli.guard import status_of
from heaptide.cli.main import COMMANDS, cli
from tests.builders.capture import CaptureBuilder, Counter
from tests.unit.test_gperftools import FILE


def heaptide(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heaptide", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def heap(tmp_path: Path) -> Path:
    path = tmp_path / "x.0001.heap"
    path.write_bytes(FILE)
    return path


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    run = heaptide("--help")
    assert run.returncode == 0
    for name, text in COMMANDS.items():
        assert name in run.stdout and text in run.stdout
    probe = (
        "import sys; from heaptide.cli.main import cli; cli(['--help'], standalone_mode=False); print([*sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("numpy", "symbolic", "subprocess", "heaptide.model") if f"'{name}'" in loaded]


def test_help_is_fast() -> None:
    heaptide("--help")
    took = []
    for _ in range(3):
        before = os.times()
        heaptide("--help")
        after = os.times()
        took.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(took) < 0.15, "seconds of CPU; 0.06 on an idle machine"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    run = heaptide(name, "--help")
    assert run.returncode == 0 and "Example" in run.stdout
    assert run.stdout.startswith("Usage: heaptide")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "pprof"])
def test_help_lines_are_the_commands_own(name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None and command.get_short_help_str(200) == COMMANDS[name]


def test_nothing_typed_shows_the_help() -> None:
    run = heaptide()
    assert run.returncode == 2 and run.stdout == "" and run.stderr.startswith("Usage: heaptide")


def test_help_fits_a_terminal_of_80_columns() -> None:
    for name in COMMANDS:
        if name != "pprof":
            text = heaptide(name, "--help", COLUMNS="80").stdout
            assert max(len(line) for line in text.splitlines()) <= 92, f"{name}: examples may be longer than 80"
            assert all(len(line) <= 80 for line in text.splitlines() if "heaptide" not in line), name


def test_version() -> None:
    run = heaptide("--version")
    assert run.returncode == 0 and run.stdout.startswith("heaptide 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    run = heaptide("completion", shell)
    assert run.returncode == 0 and "_HEAPTIDE_COMPLETE" in run.stdout


def test_completion_completes() -> None:
    run = heaptide(_HEAPTIDE_COMPLETE="bash_complete", COMP_WORDS="heaptide to", COMP_CWORD="1")
    assert "top" in run.stdout and "run" not in run.stdout


@pytest.mark.parametrize(
    "line", ["top x", "top --base x", "graph -o x", "run -- x", "run -o x", "doctor x", "pprof --text x"]
)
def test_completion_leaves_files_to_the_shell(line: str) -> None:
    words = f"heaptide {line}"
    run = heaptide(_HEAPTIDE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert run.stdout == "file,x\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message", "hint"),
    [
        (["tpo"], 2, "no command 'tpo'; did you mean 'top'?", "see: heaptide --help"),
        (["top", "--frob"], 2, "No such option '--frob'.", "see: heaptide top --help"),
        (["top", "--by", "moon"], 2, "'moon' is not one of", "see: heaptide top --help"),
        (["top"], 2, "no capture was named and there is no .tide file here", "heaptide run -- COMMAND"),
        (["top", "nowhere.tide"], 3, "nowhere.tide: No such file or directory", ""),
        (["top", "."], 3, "Is a directory", "name a file in it"),
        (["top", "pipe"], 3, "pipe: not a regular file", ""),
        (["top", "x.0001.heap", "--base", "gone.tide"], 3, "gone.tide: No such file or directory", ""),
        (["top", "x.0001.heap", "--base", "gone"], 2, "'gone' is no moment", ""),
        (["top", "x.0001.heap", "--at", "whenever"], 2, "'whenever' is no moment", "a moment is start, peak"),
        (["graph", "x.0001.heap"], 2, "Missing option '-o'", ""),
        (
            ["graph", "x.0001.heap", "-o", "x.jpg"],
            2,
            "x.jpg: .jpg is no picture's",
            "end the name in one of .dot, .svg",
        ),
        (["graph", "x.0001.heap", "-o", "no/such/x.dot"], 2, "no/such/x.dot cannot be written", ""),
        (["traces", "junk"], 3, "junk: at byte 0: expected a heaptide capture", "name a capture"),
        (["pprof", "--texd", "x.0001.heap"], 2, "did you mean 'text'?", ""),
        (["pprof", "--weblits=main", "x.0001.heap"], 2, "did you mean 'weblist'?", "see: heaptide pprof --help"),
        (["pprof", "--text"], 2, "no profile was named", ""),
        (["pprof", "--text", "--unit=parsecs", "x.0001.heap"], 2, "'parsecs' is no unit", "for instance bytes"),
        (["pprof", "--text", "gone", "x.0001.heap"], 3, "gone: No such file or directory", ""),
        (["run", "--frob"], 125, "No such option '--frob'.", "see: heaptide run --help"),
        (["run"], 125, "Missing argument 'COMMAND...'", ""),
        (["run", "--sample", "lots", "--", "true"], 125, "'lots' is no size; write 512KiB", ""),
        (["run", "--every", "5", "--", "true"], 125, "'5' is no duration; write 500ms", ""),
        (["run", "--exact", "--sample", "1MiB", "--", "true"], 125, "exclude each other", ""),
        (["run", "--", "/no/such/program"], 127, "no such program: /no/such/program", ""),
        (["run", "--", "./junk"], 126, "junk may not be executed", "chmod +x"),
    ],
)
def test_mistakes(heap: Path, arguments: list[str], status: int, message: str, hint: str) -> None:
    (heap.parent / "junk").write_text("this is no capture\n" * 100)
    os.mkfifo(heap.parent / "pipe")
    run = heaptide(*arguments, cwd=heap.parent)
    assert (run.returncode, run.stdout) == (status, "")
    assert run.stderr.startswith("heaptide: ") and message in run.stderr and hint in run.stderr
    assert "Traceback" not in run.stderr


def test_top_of_a_foreign_file(heap: Path) -> None:
    run = heaptide("top", str(heap))
    assert run.returncode == 0 and "total 600 B" in run.stdout and "not here: /bin/prog" in run.stderr
    document = json.loads(heaptide("top", str(heap), "--json", "--value", "alloc_space").stdout)
    assert (document["total"], document["unit"]) == (1000, "bytes")
    assert {row["module"] for row in document["rows"]} == {"/bin/prog", None}
    assert all(row["unresolved"] for row in document["rows"])


def test_nothing_to_show_says_why_and_still_prints_a_document(heap: Path) -> None:
    for verb in ("top", "traces"):
        run = heaptide(verb, str(heap), "--base", str(heap), "--json")
        assert run.returncode == 4 and "nothing changed" in run.stderr
        document = json.loads(run.stdout)
        assert document["schema"] == 1 and "nothing changed" in document["reason"]
    assert heaptide("graph", str(heap), "--base", str(heap), "-o", str(heap.parent / "x.svg")).returncode == 4


def test_warnings_go_to_stderr(heap: Path) -> None:
    heap.write_bytes(FILE.replace(b"3:      600", b"9:    99999"))
    run = heaptide("top", str(heap))
    assert run.returncode == 0 and run.stderr.startswith("heaptide: warning: the header says 99,999 bytes")


def test_traces_give_reasons(heap: Path) -> None:
    run = heaptide("traces", str(heap))
    assert run.returncode == 0 and "#1  500 B" in run.stdout
    assert "0x7f0000002000" in run.stdout and "no mapping of the profile holds this address" in run.stdout


def capture(path: Path, *, cut: int = 0, name: str = "/bin/prog") -> Path:
    """A sound capture of one stack without a name, less its last `cut` records."""
    made = CaptureBuilder().process().module(1, 0x400000, 0x500000, path=name, flags=1)
    made.stacks([(16, [0x401111])]).snapshot("shutdown", {16: Counter(100, 1)}).snapshot("exit", {}).end()
    path.write_bytes(b"".join(made.parts[: len(made.parts) - cut]))
    return path


@pytest.mark.parametrize(
    ("cut", "shown", "message"),
    [
        (0, True, ""),
        (1, True, "x.tide: it was cut short"),
        (2, True, "the last snapshot is #1"),
        (3, False, "no snapshot is left to show"),
        (6, False, "the PROCESS record is missing"),
    ],
)
def test_a_recording_that_was_cut_between_records(tmp_path: Path, cut: int, shown: bool, message: str) -> None:
    run = heaptide("top", str(capture(tmp_path / "x.tide", cut=cut)))
    assert run.returncode == (3 if cut else 0) and message in run.stderr
    assert ("total 100 B" in run.stdout) is shown
    assert heaptide("pprof", "--text", str(tmp_path / "x.tide")).returncode == run.returncode


def test_a_base_is_a_moment_before_it_is_a_file(tmp_path: Path) -> None:
    capture(tmp_path / "x.tide")
    for name in ("start", "gone"):
        (tmp_path / name).mkdir()
    assert "nothing changed" in heaptide("top", "x.tide", "--base", "start", cwd=tmp_path).stderr
    assert "./start: Is a directory" in heaptide("top", "x.tide", "--base", "./start", cwd=tmp_path).stderr
    assert "gone: Is a directory" in heaptide("top", "x.tide", "--base", "gone", cwd=tmp_path).stderr


def test_a_damaged_recording_names_itself_once(tmp_path: Path) -> None:
    path = capture(tmp_path / "x.tide")
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    run = heaptide("top", "x.tide", cwd=tmp_path)
    assert run.returncode == 3 and "heaptide: x.tide: parts of it could not be read" in run.stderr
    assert f"at byte {len(data) - 48}" in run.stderr


@pytest.mark.parametrize("command", [["top"], ["top", "--by", "module"], ["traces"], ["pprof", "--text"]])
def test_names_reach_the_terminal_without_their_escapes(tmp_path: Path, command: list[str]) -> None:
    path = capture(tmp_path / "x.tide", name="/bin/\x1b[31mred\n\x9bprog")
    run = heaptide(*command, str(path))
    assert run.returncode == 0 and "\\x1b[31mred\\x0a\\x9bprog" in run.stdout
    assert "\x1b" not in run.stdout + run.stderr and "\x9b" not in run.stdout + run.stderr


def test_no_colour_on_a_pipe(heap: Path) -> None:
    assert "\x1b" not in heaptide("top", str(heap)).stdout


def test_colour_on_a_terminal_unless_NO_COLOR(heap: Path) -> None:
    import pty

    def seen(**environment: str) -> str:
        ours, theirs = pty.openpty()
        with open(theirs, "wb", buffering=0) as terminal:
            subprocess.run(
                [sys.executable, "-m", "heaptide", "top", str(heap)],
                stdout=terminal,
                env={**os.environ, **environment},
                check=True,
            )
        with open(ours, "rb", buffering=0) as reading:
            return reading.read(4096).decode()

    assert "\x1b[1m" in seen(NO_COLOR="")
    assert "\x1b" not in seen(NO_COLOR="1")


def test_a_picture_is_not_for_a_terminal(heap: Path) -> None:
    import pty

    _, theirs = pty.openpty()
    with open(theirs, "wb", buffering=0) as terminal:
        run = subprocess.run(
            [sys.executable, "-m", "heaptide", "pprof", "--pdf", str(heap)],
            stdout=terminal,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 2 and "not for a terminal" in run.stderr


def test_a_reader_that_stops_reading_is_no_traceback(heap: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as nobody:
        run = subprocess.run(
            [sys.executable, "-m", "heaptide", "top", str(heap)],
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 141 and "Traceback" not in run.stderr and "Broken" not in run.stderr


def test_a_closed_or_full_stdout_is_no_traceback(heap: Path) -> None:
    for redirection in (">&-", ">/dev/full"):
        command = f"{sys.executable} -m heaptide top {heap} {redirection}"
        run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert run.returncode == 2 and "\nheaptide: standard output" in run.stderr, run.stderr
        assert "Traceback" not in run.stderr


def test_the_newest_capture_is_taken(tmp_path: Path) -> None:
    for age, name in ((20, "old.1.tide"), (10, "new.2.tide")):
        (tmp_path / name).write_bytes(FILE)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert heaptide("top", cwd=tmp_path).stdout.startswith("new.2.tide: bytes in use")


def test_interrupts_are_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_main.cli, "invoke", interrupt)
    assert status_of(cli_main.cli, "heaptide", ["top"]) == 130


@pytest.mark.parametrize("form", ["svg", "pdf", "ps", "png", "gif", "dot"])
def test_pictures(heap: Path, form: str) -> None:
    pytest.importorskip("pygraphviz")
    output = heap.parent / f"x.{form}"
    run = heaptide("graph", str(heap), "-o", str(output), PATH="/nonexistent")
    assert run.returncode == 0, run.stderr
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "ps": b"%!PS", "png": b"\x89PNG", "gif": b"GIF8", "dot": b"digraph"}
    assert output.read_bytes().startswith(starts[form])


def test_a_picture_without_graphviz_says_what_to_install(heap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from heaptide._errors import NothingToShow
    from heaptide.render import picture

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NothingToShow, match="needs Graphviz") as caught:
        picture.draw("digraph { a -> b }", "svg")
    assert "pip install 'heaptide[graph]'" in (caught.value.hint or "")


def test_a_layout_that_takes_too_long_or_fails_is_an_error() -> None:
    from heaptide._errors import NothingToShow
    from heaptide.render import picture

    with pytest.raises(NothingToShow, match="took longer"):
        picture.draw("digraph { a -> b }", "svg", time_limit=0.0001)
    with pytest.raises(NothingToShow, match="could not draw"):
        picture.draw("this is no graph", "svg")


def test_postscript_has_a_page_of_the_graphs_own_size() -> None:
    from heaptide.render import picture

    wide = "digraph { rankdir=LR; " + " -> ".join(f"n{i}" for i in range(60)) + " }"
    drawn = picture.draw(wide, "ps")
    size = drawn.partition(b"/PageSize [")[2].partition(b"]")[0].split()
    assert int(size[0]) > 2000 and drawn.count(b"\nshowpage") == 1


@pytest.mark.parametrize("form", ["pdf", "ps"])
def test_no_page_is_larger_than_viewers_show(form: str) -> None:
    """400 boxes side by side are 400 inches wide; Acrobat shows 200, and cuts."""
    pytest.importorskip("pygraphviz")
    from heaptide.render import picture

    row = "; ".join(f'n{i} [shape=box width=1.5 label="{i}"]' for i in range(400))
    drawn = picture.draw(f"digraph {{ {row} }}", form)
    box = re.findall(rb"(?:MediaBox|^%%BoundingBox:) ?\[? ?(?:[\d.]+) (?:[\d.]+) ([\d.]+)", drawn, re.MULTILINE)
    assert box and 10_000 < float(box[-1]) <= 14_400
