# SPDX-License-Identifier: Apache-2.0
"""`python -m tools.page_vectors`: writes what the page must make of numbers and moments, into page/vectors.json.

The page has its own copies of `render/units.py` and of the rules of `model/moments.py`. `make page` holds them against
this file, and a test holds this file against Python.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from heaptide._errors import UsageError
from heaptide.model import moments
from heaptide.model.snapshot import Snapshot
from heaptide.render import units
from heaptide.render.page import varint
from heaptide.render.page.header import wall

VECTORS = Path(__file__).resolve().parent.parent / "page/vectors.json"

_AMOUNTS = [0, 0.4, 0.5, 1, 1.5, 2.5, 9, 511, 1023, 1023.4, 1023.5, 1024, 1152, 1280, 10235, 10239, 10240, 102348]
_AMOUNTS += [102400, 1047552, 1048063, 1048064, 1048576, 5 * 2**18, 3.3e9, 2**40 * 1.125, 2**60, 2**62 * 3]
_PARTS = [(0, 0), (1, 0), (0, 7), (1, 3), (2, 3), (1, 1), (9994, 10000), (9995, 10000), (1, 2000), (1, 2001), (-1, 4)]
_PARTS += [(-3, 40), (5, -40), (1, 800), (3, 800), (12345, 1000), (999.49, 1000), (999.5, 1000)]
_PAIRS = [(0, 0), (5, 5), (0, 5), (5, 0), (-1, 5), (4, 5), (5, 4), (8, 9), (1, 99.4), (1, 99.5), (1, 1234567), (3, 2)]
_SECONDS = [0, 0.0004, 0.0015, 0.08, 0.9994, 0.9995, 1, 12.25, 59.94, 59.95, 60, 250, 3599.4, 3599.5, 3600, 7500]
_SECONDS += [47 * 3600 + 3599, 48 * 3600 - 30, 48 * 3600, 30 * 86400 + 4 * 3600, -12.3, -250, 360000.05]
_VARINTS = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 2**31 - 1, -(2**31), 2**40 + 12345, 2**52 - 1, -(2**52) + 1, 0, 7]
_TEXTS = ["start", "peak", "end", "exit", "#1", "#5", "#9", "90s", "1h30m", "0s", "-1m", "-2h", "10d", "-10d", "500ms"]
_TEXTS += ["23:50", "23:55:30", "00:10", "01:00", "02:20:00", "nonsense", "", "-", "5", "1.5h"]


def vectors() -> dict[str, object]:
    """Arguments and results of each function, numbers as the document packs them, and moments by their texts."""
    signed = [*_AMOUNTS, *(-amount for amount in _AMOUNTS)]
    both = (False, True)
    return {
        "size": [[amount, sign, units.size(amount, signed=sign)] for amount in signed for sign in both],
        "count": [[amount, sign, units.count(amount, signed=sign)] for amount in signed for sign in both],
        "percent": [[part, whole, units.percent(part, whole)] for part, whole in _PARTS],
        "times": [[before, now, units.times(before, now)] for before, now in _PAIRS],
        "duration": [[seconds, units.duration(seconds)] for seconds in _SECONDS],
        "offset": [[seconds, units.offset(seconds)] for seconds in _SECONDS],
        "varints": [_VARINTS, varint.encode(np.array(_VARINTS, np.int64)).hex()],
        "moments": _moments(),
    }


def _snapshots() -> list[Snapshot]:
    """Nine moments over two midnights and a half, at uneven times."""
    began = datetime(2026, 3, 1, 23, 50)  # local time, whichever zone that is: what is asked for is local, too
    minutes = (0, 1, 6, 20, 75, 150, 24 * 60 + 5, 24 * 60 + 30, 48 * 60 + 40)
    in_use = (1, 2, 3, 9, 5, 6, 7, 8, 0)
    return [
        Snapshot(
            number=number,
            kind="exit" if number == len(minutes) else "time",
            realtime_ns=round((began + timedelta(minutes=minute)).timestamp() * 1e9),
            offset_s=60.0 * minute,
            in_use_bytes=use,
        )
        for number, (minute, use) in enumerate(zip(minutes, in_use, strict=True), start=1)
    ]


def _moments() -> dict[str, object]:
    shots = _snapshots()
    index = {shot.number: place for place, shot in enumerate(shots)}
    return {
        "number": [shot.number for shot in shots],
        "t_s": [shot.offset_s for shot in shots],
        "wall": [wall(shot.realtime_ns) for shot in shots],
        "end": index[moments.find("end", shots).number],
        "peak": index[moments.find("peak", shots).number],
        "texts": [[text, _found(text, shots, index)] for text in _TEXTS],
    }


def _found(text: str, shots: list[Snapshot], index: dict[int, int]) -> int | None:
    """Where the moment stands; None for a text that is none."""
    try:
        return index[moments.find(f"#{text}" if text.isdigit() else text, shots).number]
    except UsageError:
        return None


def text() -> str:
    """The file."""
    return json.dumps(vectors(), indent=None, separators=(", ", ": ")).replace("]], ", "]],\n") + "\n"


if __name__ == "__main__":
    VECTORS.write_text(text())
