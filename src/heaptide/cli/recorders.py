# SPDX-License-Identifier: Apache-2.0
"""Which captures are being written on this machine, by whom and for whom: told by the recorders' open files."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from heaptide._errors import InputError
from heaptide.capture.reader import read
from heaptide.capture.records import ProcessRecord

_PROGRAM = "heaptide-record"
_DELETED = " (deleted)"
_HEAD_BYTES = 1 << 16
_SNAPSHOT_SIGNAL = signal.SIGUSR1


@dataclass(frozen=True, slots=True)
class Written:
    """A capture that a recorder holds open."""

    path: Path
    recorder: int
    """The recorder's process."""
    pid: int
    """The process whose heap it is."""
    started_realtime_ns: int


def captures_of(pid: int) -> list[Written]:
    """The captures that are being written for a process, the newest image last."""
    found = [written for written in _written() if written.pid == pid]
    return sorted(found, key=lambda written: written.started_realtime_ns)


def recorder_of(path: str | os.PathLike[str]) -> int | None:
    """The process that writes a capture; None where none of this machine's does that we may look into."""
    try:
        wanted = os.stat(path)
    except OSError:
        return None
    for recorder in _recorders():
        for descriptor in _descriptors(recorder):
            with suppress(OSError):
                if os.path.samestat(os.stat(descriptor), wanted):
                    return recorder
    return None


def take_snapshot(recorder: int) -> bool:
    """Asks a recorder for a snapshot; False where it cannot be asked.

    Only one that has the signal blocked, as recorders have (they read it from a descriptor): it would end any other.
    """
    with suppress(OSError):
        status = Path(f"/proc/{recorder}/status").read_text()
        blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
        if int(blocked.split()[1], 16) >> (_SNAPSHOT_SIGNAL - 1) & 1:
            os.kill(recorder, _SNAPSHOT_SIGNAL)
            return True
    return False


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with; empty where it may not be read."""
    try:
        data = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.decode("utf-8", "surrogateescape").partition("=") for entry in data.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}


def _recorders() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text().rstrip("\n") == _PROGRAM:
                yield int(entry.name)


def _descriptors(recorder: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{recorder}/fd").iterdir())
    except OSError:
        return []


def _written() -> Iterator[Written]:
    for recorder in _recorders():
        for descriptor in _descriptors(recorder):
            with suppress(OSError):
                process = _process(descriptor)
                path = _name_of(descriptor) if process is not None else None
                if process is not None and path is not None:
                    yield Written(path, recorder, process.pid, process.started_realtime_ns)


def _process(descriptor: Path) -> ProcessRecord | None:
    """Whose heap the open file holds; None where it is no capture."""
    if not descriptor.is_file():
        return None
    with open(descriptor, "rb") as file:
        head = file.read(_HEAD_BYTES)
    try:
        records = read(head, path=str(descriptor), live=True).records
    except InputError:  # anything else, or of a newer format
        return None
    return next((record for record in records if isinstance(record, ProcessRecord)), None)


def _name_of(descriptor: Path) -> Path | None:
    """The name of an open file. One that took another's place had none when it was opened: it is sought beside."""
    name = Path(os.readlink(descriptor))
    wanted = os.stat(descriptor)
    if not str(name).endswith(_DELETED):
        return name
    for path in name.parent.glob("*"):
        with suppress(OSError):
            if os.path.samestat(path.stat(), wanted):
                return path
    return None
