# SPDX-License-Identifier: Apache-2.0
"""heaptide reads what the agent and the recorder kept of a program's heap. This module is the public interface.

    series = heaptide.open("server.4711.tide")
    print(series.at("end").total("inuse_space"))
    print(series.growth().verdict)

Importing it costs nothing: numpy and the symbol reader are loaded by the first `open`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heaptide._errors import HeaptideError

if TYPE_CHECKING:
    from heaptide.public import Series

__version__ = "0.1.0"
__all__ = ["HeaptideError", "__version__", "open"]


def open(
    path: str | os.PathLike[str],
    *,
    search: Sequence[str | os.PathLike[str]] = (),
    program: str | None = None,
) -> Series:
    """Read a capture, or a file of another profiler (gperftools' .heap), and return its series of snapshots.

    Symbols are resolved at the first `Series.at()`, not here; what was damaged or lost is in `Series.warnings`.
    A foreign file gives a series of one snapshot.

    Args:
        path: the file. What it is is told by its contents, not by its name.
        search: directories with programs and debug files, looked into before the system's own places.
        program: the executable that a foreign file is of, where it no longer stands at its recorded path.

    Raises:
        InputError: the file cannot be read or is of no format we know; names file and offset.
    """
    from pathlib import Path

    from heaptide import build_foreign
    from heaptide.public import Series
    from heaptide.symbolize import Symbolizer

    symbolizer = Symbolizer(search=tuple(Path(directory) for directory in search))
    if build_foreign.is_foreign(path):
        return Series.of(build_foreign.load(path, program=program, symbolizer=symbolizer))
    from heaptide import build

    return Series.of(build.load(path, symbolizer=symbolizer))
