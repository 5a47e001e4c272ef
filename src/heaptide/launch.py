# SPDX-License-Identifier: Apache-2.0
"""Start a program under the agent, with a recorder beside it, and be its parent until it ends.

    heaptide run ---- starts ----> heaptide-record --serve    (own session; learns of the end through a socket pair)
        |                                 ^
        +-- starts --> PROGRAM + agent ---+ registers          (same process group, same terminal)

The program comes first: whatever is missing for a recording is said, and the program runs without one. Its descriptors,
signals, terminal and exit status are those it would have without us. Only the standard library is imported here.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from heaptide._errors import LaunchError, NotExecutable, NotFound
from heaptide.executable import Program, check_program, interpreter_of_script

SUMMARY_PATIENCE_S = 2.0
"""How long `run` waits, after the program's end, for the recorder's last word."""

_START_PATIENCE_S = 5.0
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
_LEFT_TO_THE_PROGRAM = (signal.SIGINT, signal.SIGQUIT)  # a terminal sends them to us both

Say = Callable[[str], None]


# ---- What is ours, and where -----------------------------------------------------------------------------------------


def _native(name: str) -> Path:
    path = Path(__file__).resolve().parent / "_native" / name
    if not path.exists():
        raise LaunchError(f"{path} is not there", hint="install heaptide again (in a checkout: `make native`)")
    return path


def agent_path() -> Path:
    """The agent's library, libheaptide.so.

    Raises:
        LaunchError: it was not built or not installed.
    """
    return _native("libheaptide.so")


def recorder_path() -> Path:
    """The recorder, heaptide-record.

    Raises:
        LaunchError: it was not built or not installed.
    """
    return _native("heaptide-record")


def record_main() -> None:
    """The console script `heaptide-record`: becomes the program of that name."""
    try:
        path = str(recorder_path())
        os.execv(path, ["heaptide-record", *sys.argv[1:]])
    except (LaunchError, OSError) as error:
        print(f"heaptide-record: {error}", file=sys.stderr)
        sys.exit(LaunchError.exit_code)


# ---- Allocators ------------------------------------------------------------------------------------------------------

_ALLOCATORS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "tcmalloc": (("libtcmalloc.so.4", "libtcmalloc_minimal.so.4"), "libgoogle-perftools4"),
    "jemalloc": (("libjemalloc.so.2",), "libjemalloc2"),
    "mimalloc": (("libmimalloc.so.2", "libmimalloc.so.2.0", "libmimalloc.so.3"), "libmimalloc2.0"),
}
"""Name -> (file names, best first; Debian's package)."""


def allocator_path(name: str) -> Path:
    """The library of an allocator: a path, or one of tcmalloc, jemalloc and mimalloc.

    Raises:
        LaunchError: it is not there; the hint names Debian's package.
    """
    if "/" in name:
        if not os.path.isfile(name):
            raise LaunchError(f"no such allocator library: {name}")
        return Path(name).resolve()
    if name not in _ALLOCATORS:
        raise LaunchError(f"unknown allocator: {name}", hint=f"known are {', '.join(_ALLOCATORS)}, and any path")
    files, package = _ALLOCATORS[name]
    for folder in _library_folders():
        for file in files:
            if (folder / file).exists():
                return (folder / file).resolve()
    raise LaunchError(f"{name} is not installed", hint=f"Debian, Ubuntu: apt install {package}; or name its path")


def _library_folders() -> Iterator[Path]:
    """Where the loader looks, in its order: LD_LIBRARY_PATH, ld.so.conf, the standard ones. Then PyPI's cmeel ones."""
    yield from (Path(part) for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part)
    yield from _configured_folders(Path("/etc/ld.so.conf"), depth=0)
    machine = os.uname().machine
    for root in ("/usr/local/lib", "/lib", "/usr/lib"):
        yield from (Path(root, f"{machine}-linux-gnu"), Path(root), Path(f"{root}64"))
    yield from (Path(part, "cmeel.prefix", "lib") for part in sys.path if part.endswith("-packages"))


def _configured_folders(path: Path, depth: int) -> Iterator[Path]:
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in (line.split("#", 1)[0].strip() for line in lines):
        if line.startswith("include ") and depth < 4:
            pattern = line.removeprefix("include ").strip()
            for found in sorted(Path("/").glob(pattern.lstrip("/"))):
                yield from _configured_folders(found, depth + 1)
        elif line.startswith("/"):
            yield Path(line)


# ---- Running ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `heaptide run` was asked for. Sizes and durations are as they were typed: "512KiB", "10s"."""

    output: str | None = None
    """The captures' name; None: ./{name}.{pid}.tide."""
    sample: str | None = None
    """A fixed mean sampling interval; None: 16 KiB, stretched to 512 KiB."""
    exact: bool = False
    every: str | None = None
    """A fixed interval between snapshots; None: 250 ms, stretched to 10 s, and by growth."""
    budget: str | None = None
    """Bytes on disk; None: unlimited."""
    allocator: str | None = None
    """tcmalloc, jemalloc, mimalloc or a path: put under the program."""
    children: bool = True
    mmap: bool = True


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    status: int
    """The program's exit status, 128+N when signal N ended it."""
    pid: int
    captures: tuple[dict[str, Any], ...] = ()
    """One summary for each capture, in the order in which they were finished. Keys: path (None when it could not be
    created; then `error`), pid, name, mode, cause ("exited", "killed", "exec", "unknown", "books", "running"), status,
    snapshots, in_use_bytes, in_use_objects (as at the moment `end`), allocated_bytes, file_bytes, failed_writes,
    recorder_cpu_ns, losses (name -> count; what did not happen is left out)."""
    refused: int = 0
    """Registrations that the recorder refused: too many children, or damaged books."""
    recorded: bool = True
    """There was a recorder. False: why was said before the program started."""
    going_on: bool = False
    """Something of the program lives on and is still being recorded, or the recorder did not answer in time."""


def say_on_stderr(message: str) -> None:
    """What `run` does with what it has to say when it is not told otherwise."""
    if sys.stderr is not None:  # closed: print would take stdout then, which is the program's
        with suppress(OSError, ValueError):  # full, or nobody reads it: the program runs all the same
            print(f"heaptide: {message}", file=sys.stderr, flush=True)


def run(command: Sequence[str], options: RunOptions | None = None, *, say: Say = say_on_stderr) -> RunResult:
    """Run `command` to its end under the agent. Its output is its own; `say` gets what there is to be said.

    Raises:
        NotFound, NotExecutable: of the program.
        LaunchError: the allocator asked for is not there.
    """
    options = options or RunOptions()
    program = check_program(command[0])
    allocator = allocator_path(options.allocator) if options.allocator else None
    for message in (program.warning, program.note):
        if message:
            say(message)
    recorder = _start_recorder(program, options, say) if program.recordable else None
    environment = _environment(options, recorder, allocator)
    with _signals_for_program() as target:
        child = _spawn(command, program, environment)
        target.adopt(child.pid)
        if recorder:
            recorder.tell(f"started {child.pid}")
        wait_status = _wait(child.pid)
        target.release()
    child.returncode = os.waitstatus_to_exitcode(wait_status)  # reaped here, not by subprocess
    status = child.returncode if child.returncode >= 0 else 128 - child.returncode
    if recorder is None:
        return RunResult(status, child.pid, recorded=False)
    recorder.tell(f"ended {child.pid} {wait_status}")
    captures, refused, going_on = recorder.finish(SUMMARY_PATIENCE_S)
    return RunResult(status, child.pid, tuple(captures), refused, True, going_on)


def _spawn(command: Sequence[str], program: Program, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The program as a direct child, with the descriptors that we were given."""
    try:
        return subprocess.Popen(command, close_fds=False, env=environment)
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script without a first line: for the shell, as execvp has it
            return subprocess.Popen(["/bin/sh", str(program.path), *command[1:]], close_fds=False, env=environment)
        interpreter = interpreter_of_script(program.path) if error.errno == errno.ENOENT else None
        why = f"its first line names {interpreter}, which is not there" if interpreter else error.strerror
        reason = f"{command[0]} cannot be executed: {why}"
        raise (NotFound if error.errno == errno.ENOENT else NotExecutable)(reason) from error


def _wait(pid: int) -> int:
    """The wait status of the child. While it is stopped, so are we: the shell sees one job."""
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return status
        # Not SIGSTOP: where no shell could wake us again (an orphaned process group), this one is ignored.
        os.kill(os.getpid(), signal.SIGTSTP)
        os.kill(pid, signal.SIGCONT)


class _Target:
    """Who signals are handed on to. What comes before there is anybody is kept for it."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._waiting: list[int] | None = []

    def signal(self, number: int) -> None:
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)
        elif self._waiting is not None:
            self._waiting.append(number)

    def adopt(self, pid: int) -> None:
        self._pid = pid
        waiting, self._waiting = self._waiting or [], None
        for number in waiting:
            self.signal(number)

    def release(self) -> None:
        self._pid = None


@contextmanager
def _signals_for_program() -> Iterator[_Target]:
    """Hands signals on to the program. These are handlers and not SIG_IGN, which the program would inherit."""
    target = _Target()

    def forward(number: int, _frame: FrameType | None) -> None:
        target.signal(number)

    def leave(_number: int, _frame: FrameType | None) -> None:
        pass

    handlers = {**dict.fromkeys(_FORWARDED, forward), **dict.fromkeys(_LEFT_TO_THE_PROGRAM, leave)}
    before: dict[signal.Signals, Any] = {}
    try:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's, or a shell's for a background job
                with suppress(ValueError):  # not in the main thread: signals are somebody else's
                    before[number] = signal.signal(number, handler)
        yield target
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


def _environment(options: RunOptions, recorder: _Recorder | None, allocator: Path | None) -> dict[str, str]:
    """The program's: ours, with one entry more in LD_PRELOAD (two with an allocator) and the agent's variables."""
    environment = dict(os.environ)
    preload = [str(allocator)] if allocator else []
    if recorder:
        preload.insert(0, str(agent_path()))
        environment["HEAPTIDE_SOCKET"] = recorder.address
        if options.exact:
            environment["HEAPTIDE_EXACT"] = "1"
        if options.sample:
            environment["HEAPTIDE_SAMPLE"] = options.sample
        if not options.children:
            environment["HEAPTIDE_CHILDREN"] = "0"
        if not options.mmap:
            environment["HEAPTIDE_MMAP"] = "0"
    if preload:
        environment["LD_PRELOAD"] = ":".join([*preload, *filter(None, [environment.get("LD_PRELOAD")])])
    return environment


# ---- The recorder ----------------------------------------------------------------------------------------------------


def _start_recorder(program: Program, options: RunOptions, say: Say) -> _Recorder | None:
    """A running recorder, or None: then why was said."""
    try:
        agent = str(agent_path())
        if any(separator in agent for separator in " :"):
            raise LaunchError(f"{agent} cannot be preloaded: its path has a space or a colon")
        return _Recorder(_recorder_command(program, options))
    except (LaunchError, OSError) as error:
        say(f"nothing will be recorded: {error}")
        return None


def _recorder_command(program: Program, options: RunOptions) -> list[str]:
    executed = os.path.realpath(interpreter_of_script(program.path) or program.path)
    values = {"--output": options.output, "--every": options.every, "--budget": options.budget, "--program": executed}
    given = [f"{option}={value}" for option, value in values.items() if value]
    return [str(recorder_path()), "--serve", *given]


class _Recorder:
    """`heaptide-record --serve`, and our end of its control socket."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it and wait for its address.

        Raises:
            LaunchError: it ended instead; its own words.
        """
        self._control, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        with theirs:
            self._process = subprocess.Popen(
                [*command, f"--control-fd={theirs.fileno()}"],
                env={**environment, "HEAPTIDE_OFF": "1"},  # the recorder itself is never recorded
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        self.address = self._read_address()

    def _read_address(self) -> str:
        process = self._process
        assert process.stdout is not None and process.stderr is not None
        with process.stdout, process.stderr:
            ready, _, _ = select.select([process.stdout], [], [], _START_PATIENCE_S)
            word, _, address = process.stdout.readline().decode().strip().partition(" ") if ready else ("", "", "")
            if word == "address":
                return address
            if not ready:
                process.kill()
            reason = process.stderr.read().decode(errors="replace").strip()
            process.wait()
        self._control.close()
        raise LaunchError(reason.removeprefix("heaptide-record: ") or "the recorder did not start")

    def tell(self, line: str) -> None:
        """One line of the control protocol (server.h); a recorder that has gone is not told."""
        with suppress(OSError):
            self._control.sendall(line.encode() + b"\n", socket.MSG_NOSIGNAL)

    def finish(self, patience_s: float) -> tuple[list[dict[str, Any]], int, bool]:
        """Ask for the summaries: those that came, how many registrations were refused, whether recording goes on."""
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
        text, ended = self._read_all(time.monotonic() + patience_s)
        lines = [json.loads(line) for line in text.decode(errors="surrogateescape").splitlines(keepends=False) if line]
        refused = sum(line["refused"] for line in lines if "refused" in line)
        captures = [line for line in lines if "path" in line]
        if ended:
            self._process.wait()
        self._control.close()
        refused_last_words = captures and all(capture["cause"] != "running" for capture in captures)
        return captures, refused, not ended and not refused_last_words

    def _read_all(self, deadline: float) -> tuple[bytes, bool]:
        """Whole lines until it closes its side (True), tells of captures that go on, or the deadline passes."""
        text = b""
        while (left := deadline - time.monotonic()) > 0 and b'"cause": "running"' not in text:
            ready, _, _ = select.select([self._control], [], [], left)
            part = self._receive() if ready else b""
            if ready and not part:
                return text[: text.rfind(b"\n") + 1], True
            text += part
        return text[: text.rfind(b"\n") + 1], False

    def _receive(self) -> bytes:
        """What it said next; nothing if it has gone, which a reset tells where it died with lines of ours unread."""
        try:
            return self._control.recv(65536)
        except ConnectionResetError:
            return b""
