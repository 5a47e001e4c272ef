# SPDX-License-Identifier: Apache-2.0
"""A recorder whose clock is driven: hours or a month in a second (native/recorder/clock.h).

    with Injected(folder, "--exact") as recorder:
        recorder.start([program])          # it drives by itself, through the descriptor in $CLOCK_FD
        recorder.await_program()           # or we do, while it waits
        recorder.forward(3600)
        captures, output = recorder.finish()

There is one driver at a time: the program, which finds its end at the descriptor in $CLOCK_FD, or the caller.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from heaptide import launch

PATIENCE_S = 120
_REQUEST = struct.Struct("<Qq")
_ANSWER = struct.Struct("<QQQ")


@dataclass(frozen=True)
class Answer:
    """What the recorder says once everything that the new time made due is done."""

    boottime_ns: int
    realtime_ns: int
    snapshots: int


class Injected:
    """`heaptide-record --serve --clock-fd N`, one program under it, and both ends of what they are driven by."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._control, control = socket.socketpair()
        self._clock, clock = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Not settimeout(): that makes it non-blocking for the program as well.
        self._clock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", PATIENCE_S, 0))
        self._program: subprocess.Popen[bytes] | None = None
        ends = (control.fileno(), clock.fileno())
        words = [str(launch.recorder_path()), "--serve", "-o", str(folder / "{name}.{pid}.tide"), *options]
        with control, clock:
            self._recorder = subprocess.Popen(
                [*words, f"--control-fd={ends[0]}", f"--clock-fd={ends[1]}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                pass_fds=ends,
                env={**os.environ, **(env or {})},
            )
        assert self._recorder.stdout is not None
        with self._recorder.stdout as said:
            self.address = said.readline().decode().split()[1]

    def __enter__(self) -> Injected:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._clock.close()
        self._control.close()
        for process in filter(None, (self._program, self._recorder)):
            if process.poll() is None:
                process.kill()
                process.wait()

    @property
    def recorder_pid(self) -> int:
        """The recorder's process."""
        return self._recorder.pid

    def forward(self, seconds: float, *, wall_jump_s: float = 0.0) -> Answer:
        """Put both clocks forward, and set the wall clock by `wall_jump_s` besides; returns when all is done."""
        self._clock.send(_REQUEST.pack(round(seconds * 1e9), round(wall_jump_s * 1e9)))
        return Answer(*_ANSWER.unpack(self._clock.recv(_ANSWER.size)))

    def await_program(self) -> None:
        """Wait until the program has registered and START is written; before that there is nothing to drive."""
        deadline = time.monotonic() + PATIENCE_S
        while self.forward(0).snapshots == 0:
            if time.monotonic() > deadline:
                raise TimeoutError("the program did not register")
            time.sleep(0.001)

    def close_clock(self) -> None:
        """Drive no more; the recorder's clock goes on with the system's."""
        self._clock.close()

    def start(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start the program under the agent; `stdin` as subprocess has it."""
        fd = self._clock.fileno()
        own = {"LD_PRELOAD": str(launch.agent_path()), "HEAPTIDE_SOCKET": self.address, "CLOCK_FD": str(fd)}
        self._program = subprocess.Popen(
            command,
            env={**os.environ, **own, **(env or {})},
            stdin=stdin,
            stdout=subprocess.PIPE,
            pass_fds=[fd],
        )
        self._control.sendall(f"started {self._program.pid}\n".encode())
        return self._program

    def finish(self) -> tuple[list[dict[str, Any]], bytes]:
        """Wait for the program's end and for the last word: its captures (keys as in launch.RunResult), its output."""
        assert self._program is not None
        output, _ = self._program.communicate(timeout=PATIENCE_S)
        status = self._program.returncode
        wait_status = status << 8 if status >= 0 else -status
        self._control.sendall(f"ended {self._program.pid} {wait_status}\n".encode())
        self._control.settimeout(PATIENCE_S)
        self._control.shutdown(socket.SHUT_WR)
        text = b"".join(iter(lambda: self._control.recv(65536), b""))
        self._recorder.wait(PATIENCE_S)
        lines = [json.loads(line) for line in text.decode(errors="surrogateescape").splitlines()]
        return [line for line in lines if "path" in line], output
