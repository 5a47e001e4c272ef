# SPDX-License-Identifier: Apache-2.0
"""How pprof names places: in tables in full, in the boxes of a graph shortened and in several lines."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace

from heaptide.analysis.places import Place
from heaptide.render.harmless import harmless

_ANONYMOUS = "(anonymous namespace)::"
_GO_VERSION = re.compile(r"(.*?)/v(?:[2-9]|[1-9][0-9]+)([./].*)", re.DOTALL)
_LAST_PARTS = (
    re.compile(r"(?:[\w\-.]+/)+([^.]+\..+)", re.DOTALL),  # Go: the package's last part and what follows
    re.compile(r"(?:[a-z]\w*\.)*([A-Z][\w$]*\.(?:<init>|[a-z][\w$]*(?:\$\d+)?))(?:\(|$)"),  # Java: class and method
    re.compile(r"(?:[_a-zA-Z]\w*::)+(_*[A-Z]\w*::~?[_a-zA-Z]\w*(?:<.*>)?)"),  # C++: class and method
)


def printable(place: Place) -> str:
    """``0000000000001000 main /src/main.c:12``, as far as the granularity tells; ``[libc.so.6]`` for nameless code."""
    return harmless(" ".join(_parts(place)))


def box_lines(place: Place) -> list[str]:
    """The lines of a box: the name shortened and broken at ``::`` and ``.``, the file's base name."""
    function = _shortened(place.function) if place.function else None
    if function is not None:
        function = function.replace("::", "\n").replace("[...]", "[…]").replace(".", "\n")
    file = posixpath.basename(place.file) if place.file else place.file
    parts = _parts(replace(place, function=function, file=file))
    return [harmless(line) for part in parts for line in part.split("\n")]


def _parts(place: Place) -> list[str]:
    parts = [] if place.address is None else [f"{place.address:016x}"]
    if place.function:
        parts.append(place.function)
    if place.line:
        column = f":{place.column}" if place.column else ""
        parts.append(f"{place.file or ''}:{place.line}{column}")
    elif place.file:
        parts.append(place.file)
    elif not place.function:
        parts.append(f"[{posixpath.basename(place.module)}]" if place.module else "<unknown>")
    return parts


def _shortened(function: str) -> str:
    """A function's name without the namespaces or packages before its class."""
    function = function.removeprefix(_ANONYMOUS)
    versioned = _GO_VERSION.fullmatch(function)
    if versioned:
        function = versioned[1] + versioned[2]
    for pattern in _LAST_PARTS:
        match = pattern.match(function)
        if match:
            return match[1]
    return function
