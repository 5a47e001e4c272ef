# SPDX-License-Identifier: Apache-2.0
"""launch.run with the real agent and recorder: a parent that the program and the shell take for nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from heaptide import launch
from heaptide._errors import LaunchError, NotExecutable, NotFound
from tests.builders.fake_agent import load

pytestmark = pytest.mark.usefixtures("agent", "recorder")

RUN = """
import dataclasses, json, sys
from heaptide import launch
options = launch.RunOptions(**json.loads(sys.argv[1]))
said = []
result = launch.run(sys.argv[2:], options, say=said.append)
json.dump([dataclasses.asdict(result), said], open("result.json", "w"))
sys.exit(result.status)
"""


def _start(
    folder: Path, *command: str, env: dict[str, str] | None = None, stdin: int | None = None, **options: Any
) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", RUN, json.dumps({"output": "x.tide", **options}), *command]
    environment = {**os.environ, **(env or {})}
    return subprocess.Popen(
        words, cwd=folder, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(started: subprocess.Popen[str], folder: Path) -> tuple[str, dict[str, Any], list[str]]:
    out, err = started.communicate(timeout=60)
    assert err == "", err
    result, said = json.loads((folder / "result.json").read_text())
    return out, result, said


def _run(folder: Path, *command: str, **options: Any) -> tuple[str, dict[str, Any], list[str]]:
    return _finish(_start(folder, *command, **options), folder)


def test_an_ordinary_run(tmp_path: Path) -> None:
    begun = time.monotonic()
    out, result, said = _run(tmp_path, "sh", "-c", "echo hello; exit 3", exact=True)
    assert time.monotonic() - begun < 5
    assert (out, result["status"], said, result["going_on"]) == ("hello\n", 3, [], False)
    (capture,) = result["captures"]
    assert (capture["path"], capture["cause"], capture["status"]) == ("x.tide", "exited", 3)
    assert capture["pid"] == result["pid"] and capture["allocated_bytes"] > 0
    load(tmp_path / "x.tide")


def test_death_by_signal(tmp_path: Path) -> None:
    _, result, _ = _run(tmp_path, "sh", "-c", "kill -SEGV $$")
    assert result["status"] == 128 + signal.SIGSEGV
    assert (result["captures"][0]["cause"], result["captures"][0]["status"]) == ("killed", signal.SIGSEGV)


@pytest.mark.parametrize("name", ["TERM", "HUP", "USR1", "USR2", "WINCH"])
def test_signals_are_handed_on(name: str, tmp_path: Path) -> None:
    started = _start(tmp_path, "sh", "-c", f"trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.02; done")
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    started.send_signal(getattr(signal, f"SIG{name}"))
    out, result, _ = _finish(started, tmp_path)
    assert (out, result["status"]) == ("got\n", 9)


def test_interrupts_are_left_to_the_program(tmp_path: Path) -> None:
    started = _start(tmp_path, "sh", "-c", "trap '' INT; echo ready; sleep 0.4; exit 6")
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    started.send_signal(signal.SIGINT)
    started.send_signal(signal.SIGQUIT)
    assert _finish(started, tmp_path)[1]["status"] == 6


def test_the_program_inherits_what_we_were_given(tmp_path: Path) -> None:
    code = (
        "import os, signal; print([int(fd) for fd in os.listdir('/proc/self/fd')]);"
        "print([s.name for s in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)"
        " if signal.getsignal(s) is signal.SIG_IGN])"
    )
    out, _, _ = _run(tmp_path, sys.executable, "-c", code)
    fds, ignored = out.splitlines()
    assert set(json.loads(fds)) <= {0, 1, 2, 3}, "3 is the directory being listed"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ignored == alone.stdout.splitlines()[1], "a shell's background job ignores some to begin with"


def test_a_stopped_program_goes_on(tmp_path: Path) -> None:
    started = _start(tmp_path, "sh", "-c", "echo $$; kill -STOP $$; exit 4")
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    deadline = time.monotonic() + 10
    while started.poll() is None and time.monotonic() < deadline:
        for stopped in (started.pid, pid):  # what a shell's `fg` does
            if _state(stopped) == "T":
                os.kill(stopped, signal.SIGCONT)
        time.sleep(0.05)
    assert _finish(started, tmp_path)[1]["status"] == 4


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_a_daemon_outlives_the_run(tmp_path: Path) -> None:
    begun = time.monotonic()
    _, result, _ = _run(tmp_path, "sh", "-c", "sleep 4 >/dev/null 2>&1 & exit 0", exact=True, output="{name}.tide")
    assert time.monotonic() - begun < 3.5 and result["going_on"]
    assert {capture["cause"] for capture in result["captures"]} == {"exited", "running"}


def test_no_place_to_write(tmp_path: Path) -> None:
    out, result, said = _run(tmp_path, "echo", "hi", output="/no/such/folder/x.tide")
    assert (out, result["status"], result["recorded"]) == ("hi\n", 0, False)
    assert len(said) == 1 and "nothing will be recorded" in said[0] and "/no/such/folder" in said[0]


def _recorder_of(started: subprocess.Popen[str]) -> int:
    """The recorder that a run of ours started: among its own children, by process id."""
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    (recorder,) = (int(pid) for pid in children if b"--serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    return recorder


def test_recorder_that_is_killed(tmp_path: Path) -> None:
    started = _start(tmp_path, "sh", "-c", "echo ready; sleep 0.5; echo still here; exit 2")
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    os.kill(_recorder_of(started), signal.SIGKILL)
    out, result, _ = _finish(started, tmp_path)
    assert (out, result["status"], result["captures"]) == ("still here\n", 2, [])


def test_recorder_that_is_killed_with_our_words_unread(tmp_path: Path) -> None:
    """The socket is reset then, rather than closed."""
    started = _start(tmp_path, "sh", "-c", "echo ready; read line; exit 2", stdin=subprocess.PIPE)
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    recorder = _recorder_of(started)
    os.kill(recorder, signal.SIGSTOP)
    assert started.stdin is not None
    started.stdin.close()
    while len(Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()) > 1:
        time.sleep(0.01)  # until the program's end has been told
    time.sleep(0.1)
    os.kill(recorder, signal.SIGKILL)
    started.stdin = None  # communicate() would flush it
    _, result, _ = _finish(started, tmp_path)
    assert (result["status"], result["captures"]) == (2, [])


def test_children_can_be_left_alone(tmp_path: Path) -> None:
    _, result, _ = _run(tmp_path, "sh", "-c", "/bin/true; /bin/true; exit 0", exact=True, children=False)
    assert len(result["captures"]) == 1


def test_what_cannot_be_run(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(NotFound):
        launch.run(["./no-such-program"])
    with pytest.raises(NotExecutable):
        launch.run([str(tmp_path / "text")])
    with pytest.raises(NotExecutable):
        launch.run([str(tmp_path)])


def test_allocators(tmp_path: Path) -> None:
    for name, soname in (("tcmalloc", "libtcmalloc"), ("jemalloc", "libjemalloc"), ("mimalloc", "libmimalloc")):
        try:
            launch.allocator_path(name)
        except LaunchError as error:
            assert error.hint is not None and "apt install" in error.hint
            continue
        out, result, _ = _run(tmp_path, "sh", "-c", "echo $LD_PRELOAD", allocator=name, output=f"{name}.tide")
        first, second = out.strip().split(":")
        assert first.endswith("libheaptide.so") and soname in second and result["status"] == 0
        assert result["captures"][0]["path"] == f"{name}.tide"
    with pytest.raises(LaunchError):
        launch.allocator_path("nomalloc")
