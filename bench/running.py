# SPDX-License-Identifier: Apache-2.0
"""One run of a program in one form, and what it cost. The launcher (workloads/launch.c) measures, this starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.forms import Form, all_forms
from heaptide import launch

ROOT = Path(__file__).resolve().parent.parent
WORKLOADS = ROOT / "bench" / "workloads"
SHARED_WORKLOADS = ROOT.parent / "shared" / "bench"
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Cost:
    """Of one run: CPU of the program (without the recorder) and wall time, peak resident bytes, its output."""

    cpu_s: float
    wall_s: float
    peak_bytes: int
    output: str
    written_bytes: int = 0
    recorder_cpu_s: float = 0.0


@dataclass
class Bench:
    """Where things are and how much is to be done: what every row is given."""

    folder: Path
    forms: list[Form]
    rounds: int
    quick: bool
    full: bool
    notes: list[str] = field(default_factory=list)

    def some_forms(self, *names: str) -> list[Form]:
        """Those of the named forms that can be run here."""
        return [form for form in self.forms if form.name in names and not form.missing]

    def program(self, name: str) -> str:
        """Path of a compiled workload."""
        return str(self.folder / name)

    def choose(self, quick: int, usual: int, full: int) -> int:
        """An amount of work."""
        return quick if self.quick else full if self.full else usual


def build(folder: Path) -> None:
    """Compile the launcher and the workloads into `folder`."""
    c = ["gcc", "-O2", "-g", "-pthread"]
    for name in ("launch", "stalls", "crowd"):
        subprocess.run([*c, str(WORKLOADS / f"{name}.c"), "-o", str(folder / name)], check=True)
    library = ["-shared", "-fPIC", "-fno-plt", "-fno-builtin"]
    subprocess.run([*c, *library, str(WORKLOADS / "forward.c"), "-o", str(folder / "forward.so")], check=True)
    subprocess.run([*c, str(SHARED_WORKLOADS / "hot.c"), "-o", str(folder / "hot")], check=True)
    churn = [str(SHARED_WORKLOADS / "churn.cpp"), "-o", str(folder / "churn")]
    subprocess.run(["g++", *c[1:], *churn], check=True)


def make_bench(folder: Path, *, rounds: int, quick: bool, full: bool) -> Bench:
    """A bench whose programs are built; what cannot be measured here is in its notes."""
    build(folder)
    forms = all_forms(folder / "forward.so")
    bench = Bench(folder, forms, rounds, quick, full)
    bench.notes += [f"{form.name}: {form.missing}" for form in forms if form.missing]
    return bench


class Recorder:
    """`heaptide-record --serve` in a folder; see server.h for what is said over its control socket."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair()
        output = str(folder / "{name}.{pid}.tide")
        command = [str(launch.recorder_path()), "--serve", "-o", output, f"--control-fd={theirs.fileno()}", *options]
        with theirs:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=[theirs.fileno()])
        assert self._process.stdout is not None
        with self._process.stdout as said:
            self.address = said.readline().removeprefix("address ").strip()
        # Some other process is the one whose end it is told of: so it does not wait for how the program ended.
        self._control.sendall(f"started {os.getpid()}\n".encode())

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]) / 1e9

    def finish(self) -> list[dict[str, Any]]:
        """Waits for its last word: one summary for each capture (keys as in launch.RunResult)."""
        with self._control as control:
            control.settimeout(TIMEOUT_S)
            control.shutdown(socket.SHUT_WR)
            text = b"".join(iter(lambda: control.recv(65536), b""))
        self._process.wait(TIMEOUT_S)
        lines = [json.loads(line) for line in text.decode(errors="surrogateescape").splitlines()]
        return [line for line in lines if "path" in line]


class Running:
    """A program under way. `finish` must be called."""

    def __init__(
        self,
        bench: Bench,
        form: Form,
        command: Sequence[str],
        *,
        runs: int = 1,
        variables: Sequence[str] = (),
        record: Sequence[str] = (),
    ) -> None:
        """`runs` times one after the other; `variables` and `record` (options of the recorder) besides the form's."""
        self._form = form
        self.folder = Path(tempfile.mkdtemp(dir=bench.folder, prefix=f"{form.name}-"))
        self._recorder = None if form.recorder is None else Recorder(self.folder, [*form.recorder, *record])
        settings = [text.replace("{folder}", str(self.folder)) for text in (*form.variables, *variables)]
        if self._recorder:
            settings.append(f"HEAPTIDE_SOCKET={self._recorder.address}")
        self._report, write_end = os.pipe()
        self._process = subprocess.Popen(
            [bench.program("launch"), str(write_end), str(runs), *settings, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=[write_end],
            start_new_session=True,
        )
        os.close(write_end)

    def finish(self) -> Cost:
        """Wait for its end. A program that fails or hangs ends the bench: its figure would be of something else."""
        output, errors = self._process.communicate(timeout=TIMEOUT_S)
        reports = self._recorder.finish() if self._recorder else []
        with open(self._report) as report:
            line = report.read().split()
        if self._process.returncode != 0 or len(line) != 3:
            what = f"{self._process.args!r} ended with {self._process.returncode}"
            raise SystemExit(f"bench: {what} as {self._form.name}: {errors[-500:]}")
        cpu_us, wall_us, peak_kib = map(int, line)
        recorder_ns = sum(capture["recorder_cpu_ns"] for capture in reports)
        written = sum(path.stat().st_size for path in self.folder.iterdir())
        return Cost(cpu_us / 1e6, wall_us / 1e6, peak_kib << 10, output, written, recorder_ns / 1e9)

    def recorder_cpu_s(self) -> float:
        """What its recorder has used so far, by the kernel's account."""
        return self._recorder.cpu_s() if self._recorder else 0.0

    def kill(self) -> None:
        """End it now, for nobody will `finish` it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        with contextlib.suppress(OSError):  # it may have finished before
            if self._recorder:
                self._recorder.finish()

    def clear(self) -> None:
        """Remove what the run wrote."""
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()


@contextlib.contextmanager
def started(bench: Bench, form: Form, command: Sequence[str], **how: Any) -> Iterator[Running]:
    """A program under way, what it wrote gone afterwards; for those that somebody has to talk to."""
    running = Running(bench, form, command, **how)
    try:
        yield running
    except BaseException:
        running.kill()
        raise
    finally:
        running.clear()


def run(bench: Bench, form: Form, command: Sequence[str], **how: Any) -> Cost:
    """One run from start to end."""
    with started(bench, form, command, **how) as running:
        return running.finish()
