# SPDX-License-Identifier: Apache-2.0
"""The command line of the pprof tools: ``--flag``, ``-flag``, ``-flag=value``, ``--flag value``, in any order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from heaptide._errors import UsageError
from heaptide.cli.nearest import did_you_mean

OUTPUTS = {
    "text": "A table.",
    "top": "The same.",
    "dot": "The call graph as DOT text.",
    "svg": "A picture of the call graph.",
    "pdf": "The same as PDF.",
    "ps": "The same as PostScript.",
    "gif": "The same as GIF.",
    "png": "The same as PNG.",
}
GRANULARITIES = {
    "functions": "A row or box for each function. (default)",
    "filefunctions": "For each function of each file.",
    "lines": "For each line of source.",
    "files": "For each source file.",
    "addresses": "For each address.",
}
VALUES = {
    "inuse_space": "Bytes in use. (default)",
    "inuse_objects": "Blocks in use.",
    "alloc_space": "Bytes ever allocated.",
    "alloc_objects": "Blocks ever allocated.",
}
SWITCHES = {
    "cum": "Sort the table by the cumulative value.",
    "flat": "Sort it by the flat value. (default)",
    "show_bytes": "Write every size in bytes.",
    "help": "Print this.",
}
SETTINGS = {
    "base": ("FILE", "Subtract this profile."),
    "focus": ("REGEX", "Only stacks with a match in a function, file or module."),
    "ignore": ("REGEX", "No stack with such a match."),
    "nodecount": ("N", "Most boxes of a picture, rows of a table. (default: 80; tables: all)"),
    "nodefraction": ("F", "Leave out nodes under this share of the total. (default: 0.005)"),
    "edgefraction": ("F", "Leave out edges under this share. (default: 0.001)"),
    "sample_index": ("NAME", "Any of the values above, by name."),
}
_BOOLEAN = {"": True, "true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


@dataclass(slots=True)
class Request:
    """What was asked for."""

    output: str = "text"
    by: str = "functions"
    value: str = "inuse_space"
    switches: set[str] = field(default_factory=set)
    settings: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def number(self, name: str, default: float) -> float:
        """A setting as a number. UsageError when it is none."""
        text = self.settings.get(name)
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise UsageError(f"--{name} {text!r} is no number") from None

    def pattern(self, name: str) -> re.Pattern[str] | None:
        """A setting as a regular expression. UsageError when it is none."""
        text = self.settings.get(name)
        if not text:
            return None
        try:
            return re.compile(text)
        except re.error as error:
            raise UsageError(f"--{name} {text!r} is no regular expression: {error}") from None


def parse(arguments: Sequence[str]) -> Request:
    """Read a pprof command line. UsageError names the nearest flag when one is not known."""
    request = Request()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            request.files += rest
            break
        if len(word) < 2 or not word.startswith("-"):
            request.files.append(word)
            continue
        name, equals, text = word.lstrip("-").partition("=")
        if name in SETTINGS:
            if not equals and not rest:
                raise UsageError(f"{word} needs a value ({SETTINGS[name][0]})")
            _set(request, name, text if equals else rest.pop(0))
        else:
            _switch(request, word, name, text)
    return request


def _set(request: Request, name: str, text: str) -> None:
    if name == "sample_index":
        if text not in VALUES:
            raise UsageError(f"--sample_index {text!r} is no value{did_you_mean(text, VALUES)}")
        request.value = text
    else:
        request.settings[name] = text


def _switch(request: Request, word: str, name: str, text: str) -> None:
    known = [*OUTPUTS, *GRANULARITIES, *VALUES, *SWITCHES]
    name = "help" if name == "h" else name
    if name not in known:
        near = did_you_mean(name, [*known, *SETTINGS])
        raise UsageError(f"no flag '--{name}'{near}", hint="see: heaptide pprof --help")
    if text.lower() not in _BOOLEAN:
        raise UsageError(f"{word}: --{name} takes no value")
    if not _BOOLEAN[text.lower()]:
        return
    if name in OUTPUTS:
        request.output = "text" if name == "top" else name
    elif name in GRANULARITIES:
        request.by = name
    elif name in VALUES:
        request.value = name
    else:
        request.switches.add(name)


def help_text(name: str) -> str:
    """What ``--help`` prints; ``name`` is the command's."""
    lines = [
        f"Usage: {name} [FLAGS] [PROGRAM] PROFILE...",
        "",
        "  Answer as the pprof tool does, by its old options, to stdout. PROFILE is a gperftools heap",
        "  profile or a capture; several are summed. PROGRAM names the executable where it no longer",
        "  stands where it ran.",
    ]
    for title, flags in (("Outputs", OUTPUTS), ("Rows and boxes", GRANULARITIES), ("Values", VALUES)):
        lines += ["", f"{title}:", *(f"  --{flag:<19} {text}" for flag, text in flags.items())]
    lines += ["", "Options:", *(f"  --{flag:<19} {text}" for flag, text in SWITCHES.items())]
    lines += [f"  --{flag + ' ' + kind:<19} {text}" for flag, (kind, text) in SETTINGS.items()]
    lines += [
        "",
        "Examples:",
        f"  {name} --text ./server /tmp/profile.0001.heap",
        f"  {name} --ps --lines --base /tmp/profile.0001.heap ./server /tmp/profile.0009.heap > a.ps",
    ]
    return "\n".join(lines) + "\n"
