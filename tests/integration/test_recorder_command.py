# SPDX-License-Identifier: Apache-2.0
"""`heaptide-record -- COMMAND` and an agent preloaded alone, with the real agent: COMMAND must not notice."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from heaptide.capture import Recording, read
from heaptide.capture.records import EndRecord, NoteRecord, ProcessRecord
from tests.builders.fake_agent import load

pytestmark = pytest.mark.usefixtures("agent")
STATIC_SOURCE = '#include <stdio.h>\nint main(void) { puts("static"); return 4; }\n'


def _record(recorder: Path, folder: Path, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    words = [str(recorder), "--output=x.tide", *options, "--", *command]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def _captures(folder: Path, pattern: str, count: int, patience_s: float = 60) -> list[Path]:
    """At least so many captures. One of a short image is made when the image has gone: perhaps after we heard."""
    deadline = time.monotonic() + patience_s
    while len(found := sorted(folder.glob(pattern))) < count:
        assert time.monotonic() < deadline, f"{found} after {patience_s} s"
        time.sleep(0.02)
    return found


def _finished(path: Path, patience_s: float = 60) -> Recording:
    """The capture, once the recorder (which outlives the program) has ended it."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if path.exists() and read(path.read_bytes(), live=True).complete:
            return load(path)
        time.sleep(0.02)
    pytest.fail(f"{path} was not finished within {patience_s} s")


def test_status_and_output_are_the_programs(recorder: Path, tmp_path: Path) -> None:
    done = _record(recorder, tmp_path, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    end = _finished(tmp_path / "x.tide").records[-1]
    assert isinstance(end, EndRecord) and (end.cause, end.status) == (1, 3)


def test_same_process_and_no_child(recorder: Path, tmp_path: Path) -> None:
    code = "import os; print(os.getpid()); print(os.waitpid(-1, os.WNOHANG))"
    started = subprocess.Popen(
        [recorder, "-o", "x.tide", "--", sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = started.communicate(timeout=60)
    assert out == f"{started.pid}\n" and "ChildProcessError" in err
    process = _finished(tmp_path / "x.tide").records[0]
    assert isinstance(process, ProcessRecord) and process.pid == started.pid and process.argv[1] == "-c"


def test_environment_gains_one_preload_entry(recorder: Path, agent: Path, tmp_path: Path) -> None:
    os.environ["LD_PRELOAD"] = "libm.so.6"
    try:
        done = _record(recorder, tmp_path, "env", options=("--exact", "--sample=64KiB"))
    finally:
        del os.environ["LD_PRELOAD"]
    values = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert values["LD_PRELOAD"] == f"{agent}:libm.so.6"
    assert values["HEAPTIDE_EXACT"] == "1" and values["HEAPTIDE_SAMPLE"] == "64KiB"


def test_what_cannot_be_run(recorder: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    missing = _record(recorder, tmp_path, "./no-such-program")
    assert missing.returncode == 127 and "no such program" in missing.stderr
    text = _record(recorder, tmp_path, "./text")
    assert text.returncode == 126 and "may not be executed" in text.stderr and "chmod" in text.stderr
    for words in (["--sample=many", "--", "true"], ["--nonsense", "--", "true"], []):
        assert subprocess.run([recorder, *words], capture_output=True).returncode == 125
    assert list(tmp_path.glob("*.tide")) == []


def test_what_cannot_be_recorded_runs_unharmed(recorder: Path, native_build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "static.c").write_text(STATIC_SOURCE)
    built = subprocess.run([*native_build.compiler(), "-static", "-o", "static", "static.c"], cwd=tmp_path)
    if built.returncode == 0:
        static = _record(recorder, tmp_path, "./static")
        assert (static.returncode, static.stdout) == (4, "static\n") and "statically linked" in static.stderr
    if os.geteuid() == 0:
        true = shutil.copy("/bin/true", tmp_path / "other")
        os.chown(true, 12345, -1)
        os.chmod(true, 0o4755)
        setuid = _record(recorder, tmp_path, "./other")
        assert setuid.returncode == 0 and "setuid" in setuid.stderr
    nowhere = subprocess.run(
        [recorder, "-o", "/no/such/folder/x.tide", "--", "echo", "hi"], capture_output=True, text=True
    )
    assert (nowhere.returncode, nowhere.stdout) == (0, "hi\n") and "nothing will be recorded" in nowhere.stderr
    no_agent = _record(recorder, tmp_path, "echo", "hi", options=("--agent=/no/agent.so",))
    assert (no_agent.returncode, no_agent.stdout) == (0, "hi\n") and "no agent" in no_agent.stderr
    assert list(tmp_path.glob("*.tide")) == []


def test_pipes_close_with_the_program(recorder: Path, tmp_path: Path) -> None:
    """The recorder outlives the program by seconds; whoever reads its output must not wait for that."""
    begun = time.monotonic()
    _record(recorder, tmp_path, "true")
    assert time.monotonic() - begun < 1.0
    _finished(tmp_path / "x.tide")


def _pid_one_is_possible() -> bool:
    return shutil.which("unshare") is not None and (
        subprocess.run(["unshare", "-p", "-f", "--mount-proc", "true"], capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not _pid_one_is_possible(), reason="no pid name space can be made here")
def test_as_pid_1(recorder: Path, tmp_path: Path) -> None:
    """It stays the parent, reaps orphans, gives the status on, and the last word is there although all of it ends."""
    script = "sleep 0.1 & (sleep 0.05 &) ; sleep 0.3; ps -eo stat= 2>/dev/null | grep -c Z; exit 5"
    words = ["unshare", "-p", "-f", "--mount-proc", str(recorder), "-o", "x.tide", "--exact", "--", "sh", "-c", script]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 5 and done.stdout.strip() in ("0", "")
    end = load(tmp_path / "x.tide").records[-1]
    assert isinstance(end, EndRecord) and (end.cause, end.status) == (1, 5)


# ---- The agent preloaded alone ---------------------------------------------------------------------------------------


def _preloaded(agent: Path, folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "LD_PRELOAD": str(agent), "HEAPTIDE_OUTPUT": str(folder / "{name}.{pid}.tide"), **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.usefixtures("recorder")
def test_agent_alone_starts_a_recorder_and_it_ends(agent: Path, tmp_path: Path) -> None:
    done = _preloaded(agent, tmp_path, sys.executable, "-c", "import os; print(os.getpid())", HEAPTIDE_EVERY="nonsense")
    pid = int(done.stdout)
    (capture,) = _captures(tmp_path, f"*.{pid}.tide", 1)
    recording = _finished(capture)
    assert any(isinstance(record, NoteRecord) and "HEAPTIDE_EVERY" in record.text for record in recording.records)
    deadline = time.monotonic() + 10
    while any("--follow" in line and str(tmp_path) in line for line in _processes()):
        assert time.monotonic() < deadline, "the recorder goes on for ever"
        time.sleep(0.1)


def _processes() -> list[str]:
    """Command line and environment of every process that we may look at."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        found.append(text.decode(errors="replace"))
    return found


@pytest.mark.usefixtures("recorder")
def test_children_register_with_the_same_recorder(agent: Path, tmp_path: Path) -> None:
    code = "import subprocess, sys; [subprocess.run([sys.executable, '-c', 'x = bytes(10**7)']) for _ in range(3)]"
    assert _preloaded(agent, tmp_path, sys.executable, "-c", code).returncode == 0
    for capture in _captures(tmp_path, "*.tide", 4):
        _finished(capture)
        assert stat.S_IMODE(capture.stat().st_mode) == 0o600
