# SPDX-License-Identifier: Apache-2.0
"""Pieces of source files around the lines that matter.

A capture names any file it likes, and a report is sent to others: only files that are named like source code are
quoted, so that a capture that was made for the purpose cannot bring a key or a password file into a report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from heaptide.model import Frame
from heaptide.render.listing import Lines
from heaptide.render.page.texts import clean, shortened

AROUND = 6
"""Lines before and after."""
_MOST = 80
_WIDEST = 400
_TAB = 8
_ENDINGS = re.compile(
    r"\.(?:ad[abs]|asm|c|c\+\+|cc|cpp|cr|cuh?|cxx|d|f|f\d\d|for|go|h|h\+\+|hh|hpp|hs|hxx|i|ii|inc|inl|ino|ipp|java|jl|kt|"
    r"ll?|lpp|mm?|mli?|nim|pas|pyx?|rs|s|swift|tcc|tpp|txx|v|vala|yy?|zig)$",
    re.IGNORECASE,
)


class Excerpts:
    """Collects places, then reads around them. `lines_of` gives the lines of a file or says why there are none."""

    def __init__(self, lines_of: Lines, places: Iterable[Frame | None]) -> None:
        self.found: list[dict[str, object]] = []
        self._spans: list[tuple[str, int, int]] = []
        wanted: dict[str, set[int]] = {}
        for frame in places:
            if frame is not None and frame.file is not None and frame.line and _is_source(frame.file):
                wanted.setdefault(frame.file, set()).add(frame.line)
        for file, lines in wanted.items():
            self._quote(file, sorted(lines), lines_of)

    def at(self, frame: Frame | None) -> dict[str, int] | None:
        """Which piece shows a frame's line, where one does."""
        if frame is None or frame.line is None:
            return None
        for index, (file, first, last) in enumerate(self._spans):
            if file == frame.file and first <= frame.line <= last:
                return {"index": index, "line": frame.line}
        return None

    def lines(self) -> dict[tuple[str, int], str]:
        """What is quoted, by the file's own name and line."""
        quoted = ((place, one["lines"]) for place, one in zip(self._spans, self.found, strict=True))
        return {
            (file, first + number): text
            for (file, first, _), lines in quoted
            if isinstance(lines, list)
            for number, text in enumerate(lines)
        }

    def _quote(self, file: str, wanted: list[int], lines_of: Lines) -> None:
        lines = lines_of(file)
        if isinstance(lines, str):
            return
        for first, last in _spans([line for line in wanted if line <= len(lines)]):
            if len(self.found) == _MOST:
                return
            last = min(last, len(lines))
            text = [clean(shortened(line.expandtabs(_TAB), _WIDEST)) for line in lines[first - 1 : last]]
            self._spans.append((file, first, last))
            self.found.append({"file": clean(file), "first_line": first, "lines": text})


def _is_source(file: str) -> bool:
    return _ENDINGS.search(file) is not None


def _spans(lines: list[int]) -> list[tuple[int, int]]:
    """Stretches around ascending lines, joined where they touch."""
    spans: list[tuple[int, int]] = []
    for line in lines:
        first, last = max(1, line - AROUND), line + AROUND
        if spans and first <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
    return spans
