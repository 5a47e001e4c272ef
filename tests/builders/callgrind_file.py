# SPDX-License-Identifier: Apache-2.0
"""A small reader of callgrind's format, to check what we write. (callgrind_annotate is asked as well.)"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class CallgrindFile:
    """Functions in order, the values of their own lines, and of their calls by (caller, callee)."""

    events: list[str] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    lines: list[tuple[str, list[int]]] = field(default_factory=list)
    calls: list[tuple[str, str, list[int]]] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> CallgrindFile:
        """Reads a file; names may be compressed. AssertionError for a line that the format does not have."""
        file, names = cls(), dict[str, str]()
        callee: str | None = None
        for line in text.splitlines():
            key, equals, rest = line.partition("=")
            if line.startswith("events: "):
                file.events = line[8:].split()
            elif line.startswith("totals: "):
                file.totals = [int(word) for word in line[8:].split()]
            elif equals and key in ("ob", "fl", "fn", "cob", "cfl", "cfn"):
                number, _, name = rest.partition(" ")
                assert re.fullmatch(r"\(\d+\)", number)
                full = names.setdefault(number, name)
                if key == "fn":
                    file.functions.append(full)
                elif key == "cfn":
                    callee = full
            elif re.fullmatch(r"\d+( -?\d+)+", line):
                values = [int(word) for word in line.split()[1:]]
                if callee is None:
                    file.lines.append((file.functions[-1], values))
                else:
                    file.calls.append((file.functions[-1], callee, values))
                    callee = None
            else:
                assert not line or key == "calls" or re.match(r"#|[a-z]+: ", line), line
        return file

    def own(self) -> dict[str, list[int]]:
        """The sum of each function's own lines."""
        out: dict[str, list[int]] = {}
        for name, values in self.lines:
            before = out.get(name, [0] * len(values))
            out[name] = [one + other for one, other in zip(before, values, strict=True)]
        return out
