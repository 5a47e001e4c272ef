# SPDX-License-Identifier: Apache-2.0
"""What `heaptide live` costs: time to its first frame, to its first table and to a verdict, and processor time.

    .venv/bin/python -m bench.live [SECONDS]     over so many seconds of following (5 unless told)

The demo server runs recorded; the view runs in a pseudo-terminal of 80 by 24.
"""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import time
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

SOURCE = Path(__file__).resolve().parent.parent / "src" / "heaptide" / "demo" / "server.c"
PATIENCE_S = 60.0
STAGES = {
    "first frame": rb"heaptide live",
    "first figures": rb"snapshots",
    "first table": rb"handle_search",
    "verdict": rb"leak: ",
}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = folder / "server"
        subprocess.run(["cc", "-O2", "-g", "-o", server, SOURCE], check=True)
        capture = folder / "server.tide"
        command = [sys.executable, "-m", "heaptide", "run", "-o", capture, "--", server, "1", "600"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            try:
                measure(capture, seconds)
            finally:
                run.terminate()


def measure(capture: Path, seconds: float) -> None:
    time.sleep(5)  # the recording has something to show
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        os.execv(sys.executable, [sys.executable, "-m", "heaptide", "live", str(capture)])
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    for stage, words in STAGES.items():
        while not re.search(words, seen):
            assert time.monotonic() - began < PATIENCE_S, f"no {stage}"
            seen += drained(terminal, 0.01)
        print(f"{stage}: {time.monotonic() - began:.2f} s, {cpu_seconds(pid):.2f} s of processor time")
    for what in ("following", "paused"):
        drain_for(terminal, 2.0)
        before = cpu_seconds(pid)
        drain_for(terminal, seconds)
        share = (cpu_seconds(pid) - before) / seconds
        print(f"{what}: {100 * share:.1f} % of a processor, {resident_mib(pid):.0f} MiB resident")
        os.write(terminal, b"p")
    os.write(terminal, b"q")
    drain_for(terminal, 1.0)
    os.waitpid(pid, 0)


def drained(terminal: int, patience_s: float) -> bytes:
    """What the view has written."""
    if not select.select([terminal], [], [], patience_s)[0]:
        return b""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # it has ended
        return b""


def drain_for(terminal: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not drained(terminal, 0.1):
            time.sleep(0.01)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
