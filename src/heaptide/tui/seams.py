# SPDX-License-Identifier: Apache-2.0
"""What the view is handed: who reads the recording, and who writes files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from heaptide.analysis.spots import Question
from heaptide.analysis.watch import Watch
from heaptide.model import Series

ExportKind = Literal["text", "json", "collapsed"]


@dataclass(frozen=True, slots=True)
class State:
    """How the recording stands."""

    going_on: bool
    words: str = ""
    """What there is to be said beside "following": how the program ended, that it executed another ..."""
    unnamed: int = 0
    """How many places in the code are still being looked up."""
    advice: str = ""
    """What to do where nothing is recorded."""


BEGINNING = State(True)
"""Before anything was read."""


class Source(Protocol):
    """The recording that is followed."""

    def newest(self) -> Series | None:
        """The recording as the file has it now; None where nothing is new since the last call.

        Called from one thread, not the view's. Raises HeaptideError where it cannot be read.
        """
        ...

    def state(self) -> State:
        """How it stands, as of the last call of `newest`."""
        ...

    def take_snapshot(self) -> bool:
        """Asks the recorder for a snapshot now. False: it cannot be asked, snapshots come when they come."""
        ...


class Exporter(Protocol):
    """Writes what is shown."""

    def write(self, kind: ExportKind, watch: Watch, question: Question) -> str:
        """The name of the new file. Raises HeaptideError where it cannot be written."""
        ...
