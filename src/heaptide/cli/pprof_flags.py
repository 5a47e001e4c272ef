# SPDX-License-Identifier: Apache-2.0
"""The command line of the pprof tools, old and new: ``--flag``, ``-flag``, ``-flag=value``, ``--flag value``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heaptide._errors import UsageError
from heaptide.cli.nearest import did_you_mean

if TYPE_CHECKING:
    from heaptide.analysis.patterns import Matcher

OUTPUTS = {
    "text": "A table. (default)",
    "top": "The same.",
    "tree": "Each row between its callers and callees.",
    "traces": "Every stack.",
    "collapsed": "Folded stacks, one on a line.",
    "tags": "Sums by label.",
    "comments": "The profile's comments.",
    "raw": "The profile as it is, as text.",
    "proto": "The profile as profile.proto, gzipped.",
    "topproto": "The table as profile.proto, gzipped.",
    "callgrind": "For kcachegrind and callgrind_annotate.",
    "dot": "The call graph as DOT text.",
    "svg": "A picture of the call graph.",
    "pdf": "The same as PDF.",
    "ps": "The same as PostScript.",
    "gif": "The same as GIF.",
    "png": "The same as PNG.",
    "symbols": "Names for the addresses on standard input.",
}
SEARCHES = {
    "peek": "The tree around functions that match.",
    "list": "Their source with the values of each line.",
    "disasm": "Their machine code with the values of each instruction.",
    "weblist": "Both as one HTML page.",
}
VIEWERS = {
    "web": ("svg", "Show the picture in a browser."),
    "eog": ("svg", "Show it in eog."),
    "evince": ("pdf", "Show it in evince."),
    "gv": ("ps", "Show it in gv."),
    "kcachegrind": ("callgrind", "Open kcachegrind."),
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
    "total_delay": "Of contention profiles: time waited.",
    "contentions": "How often.",
    "mean_delay": "How long each time.",
}
SWITCHES = {
    "cum": "Sort the table by the cumulative value.",
    "flat": "Sort it by the flat value. (default)",
    "noinlines": "Charge inlined calls to the function they stand in.",
    "showcolumns": "With --lines: tell columns apart.",
    "mean": "Divide by the number of events.",
    "call_tree": "A box for each path (dot, pictures, callgrind).",
    "drop_negative": "Leave out what shrank.",
    "relative_percentages": "Shares are shares of what the filters leave.",
    "normalize": "Scale to the total of the base first.",
    "compact_labels": "Tables without the profile's description.",
    "all_frames": "Keep the allocator's own frames.",
    "show_bytes": "Write every size in bytes.",
    "stacks": "With --text: every stack.",
    "intel_syntax": "Machine code in Intel's syntax.",
    "trim": "Honour nodecount and the fractions. (default; =false to keep all)",
    "no_strip_temp": "Keep template arguments.",
    "no_browser": "With --http: print the address and open nothing.",
    "debug-syms-by-id": "Accepted; always so.",
    "help": "Print this.",
}
SETTINGS = {
    "base": ("FILE|T", "Subtract this profile or moment (may be repeated)."),
    "diff_base": ("FILE|T", "The same, with shares of the base (may be repeated)."),
    "at": ("T", "Of a capture: the moment to show. (default: end)"),
    "sample_index": ("NAME", "What is counted, by name or number."),
    "focus": ("RE", "Only stacks with a match in a function, file or module."),
    "ignore": ("RE", "No stack with such a match."),
    "hide": ("RE", "Leave out frames that match."),
    "show": ("RE", "Only frames that match."),
    "show_from": ("RE", "Leave out what lies above the highest match."),
    "prune_from": ("RE", "Leave out what lies below the lowest match."),
    "tagfocus": ("WHAT", "Only stacks with such a label: RE, KEY=RE, 64kb:1mb."),
    "tagignore": ("WHAT", "No stack with such a label."),
    "tagshow": ("RE", "Only these labels."),
    "taghide": ("RE", "Not these labels."),
    "tagroot": ("KEYS", "Labels as frames at the root."),
    "tagleaf": ("KEYS", "Labels as frames at the leaf."),
    "nodecount": ("N", "Most boxes or rows. (default: 80; tables: all)"),
    "nodefraction": ("F", "Leave out nodes under this share. (default: 0.005)"),
    "edgefraction": ("F", "Leave out edges under this share. (default: 0.001)"),
    "unit": ("UNIT", "bytes, kb, mb, auto, minimum. (default: minimum)"),
    "divide_by": ("F", "Divide every value by this."),
    "scale": ("F", "Multiply every value by this."),
    "output": ("FILE", "Write there. (default: standard output)"),
    "http": ("[HOST]:[PORT]", "Serve it as a web page, and open a browser on it."),
    "symbolize": ("HOW", "none, local, fastlocal, force, demangle=full|templates|none."),
    "source_path": ("DIRS", "Where to look for source files."),
    "trim_path": ("DIRS", "What to take off the front of their names."),
    "lib_prefix": ("DIRS", "Where to look for programs and libraries."),
    "add_lib": ("FILE", "One more file to look into for names."),
    "buildid": ("ID", "Of the main program, where the profile has none."),
    "add_comment": ("TEXT", "One more comment."),
    "tools": ("DIR", "Where to look for objdump. (default: $PPROF_TOOLS)"),
}
LISTS = frozenset({"base", "diff_base", "add_lib"})
ALIASES = {"retain": "show", "exclude": "hide", "h": "help"}
NEVER = {
    "maxdegree": "edges are trimmed by --edgefraction",
    "heapcheck": "read the checker's .heap file without it",
    "interactive": "there is no shell; name an output",
    "seconds": "profiles are read from files",
    "timeout": "profiles are read from files",
    "thread": "jemalloc's threads are summed",
    "tls_cert": "profiles are read from files",
    "tls_key": "profiles are read from files",
    "tls_ca": "profiles are read from files",
}
"""Flags of one of the tools that have no counterpart, and what to do instead."""
_BOOLEAN = {"": True, "true": True, "1": True, "t": True, "y": True, "yes": True} | dict.fromkeys(
    ("false", "0", "f", "n", "no"), False
)
_EXCLUSIVE = {"output format": {*OUTPUTS, *SEARCHES, *VIEWERS}, "granularity": set(GRANULARITIES)}
_SAME = {"text", "top"}


@dataclass(slots=True)
class Request:
    """What was asked for."""

    output: str = "text"
    search: str = ""
    """The regular expression of `SEARCHES`."""
    viewer: str = ""
    by: str = ""
    value: str = ""
    switches: dict[str, bool] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    """Outputs and granularities in the order in which they were named."""

    def on(self, name: str, default: bool = False) -> bool:
        """Whether a switch is set."""
        return self.switches.get(name, default)

    def number(self, name: str, default: float) -> float:
        """A setting as a number. UsageError when it is none."""
        text = self.settings.get(name)
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise UsageError(f"--{name} {text!r} is no number") from None

    def pattern(self, name: str) -> Matcher | None:
        """A setting as a regular expression. UsageError when it is none."""
        return compiled(f"--{name}", self.settings.get(name, ""))

    def words(self, name: str) -> tuple[str, ...]:
        """A setting that is a list with commas."""
        return tuple(word for word in self.settings.get(name, "").split(",") if word)


def compiled(what: str, text: str) -> Matcher | None:
    """A regular expression, None for an empty one. UsageError when it is none."""
    from heaptide.analysis.patterns import BadPattern, Regex

    if not text:
        return None
    try:
        return Regex(text)
    except BadPattern as error:
        raise UsageError(f"{what} {text!r} is no regular expression: {error}") from None


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
        name = ALIASES.get(name, name)
        if name in SETTINGS or name in SEARCHES:
            if not equals and not rest:
                raise UsageError(f"{word} needs a value ({SETTINGS[name][0] if name in SETTINGS else 'RE'})")
            _set(request, name, text if equals else rest.pop(0))
        else:
            _switch(request, word, name, text)
    _only_one_of_each(request)
    return request


def _set(request: Request, name: str, text: str) -> None:
    if name in SEARCHES:
        if text:
            request.output, request.search = name, text
            request.named.append(name)
    elif name in LISTS:
        if text:
            request.lists.setdefault(name, []).append(text)
    else:
        request.settings[name] = text


def _switch(request: Request, word: str, name: str, text: str) -> None:
    known = [*OUTPUTS, *VIEWERS, *GRANULARITIES, *VALUES, *SWITCHES]
    if name in NEVER:
        raise UsageError(f"--{name} is not known here: {NEVER[name]}")
    if name not in known:
        near = did_you_mean(name, [*known, *SETTINGS, *SEARCHES])
        raise UsageError(f"no flag '--{name}'{near}", hint="see: heaptide pprof --help")
    if text.lower() not in _BOOLEAN:
        raise UsageError(f"{word}: --{name} takes no value")
    on = _BOOLEAN[text.lower()]
    if name in SWITCHES:
        request.switches[name] = on
    elif on:
        _choose(request, name)


def _choose(request: Request, name: str) -> None:
    if name in VALUES:
        request.value = {"total_delay": "delay", "mean_delay": "delay"}.get(name, name)
        if name == "mean_delay":
            request.switches["mean"] = True
        return
    request.named.append(name)
    if name in GRANULARITIES:
        request.by = name
    elif name in VIEWERS:
        request.output, request.viewer = VIEWERS[name][0], name
    else:
        request.output = name


def _only_one_of_each(request: Request) -> None:
    for what, names in _EXCLUSIVE.items():
        named = list(dict.fromkeys(name for name in request.named if name in names))
        if len(named) > 1 and not set(named) <= _SAME:
            raise UsageError(f"only one {what} at a time, not {' and '.join('--' + name for name in named)}")
    if request.output == "top":
        request.output = "text"
    if request.output == "text" and request.on("stacks"):
        request.output = "traces"
    if request.settings.get("http") and any(name in _EXCLUSIVE["output format"] for name in request.named):
        raise UsageError("--http goes with no output format")
    if request.lists.get("base") and request.lists.get("diff_base"):
        raise UsageError("--base and --diff_base exclude each other")
    if request.on("normalize") and not (request.lists.get("base") or request.lists.get("diff_base")):
        raise UsageError("--normalize needs a --base or --diff_base")


def help_text(name: str) -> str:
    """What ``--help`` prints; ``name`` is the command's."""
    lines = [
        f"Usage: {name} [FLAGS] [PROGRAM] PROFILE...",
        "",
        "  Answer as the pprof tools do, by their old and new flags. PROFILE is a capture or any profile",
        "  that heaptide reads; several are summed. PROGRAM names the executable where it no longer",
        "  stands where it ran. $PPROF_BINARY_PATH lists directories with programs and libraries.",
    ]
    viewers = {flag: text for flag, (_, text) in VIEWERS.items()}
    searches = {f"{flag} RE": text for flag, text in SEARCHES.items()}
    groups: tuple[tuple[str, Mapping[str, str]], ...] = (
        ("Outputs", OUTPUTS | searches | viewers),
        ("Rows and boxes", GRANULARITIES),
        ("Values", VALUES),
        ("Options", SWITCHES | {f"{flag} {kind}": text for flag, (kind, text) in SETTINGS.items()}),
    )
    for title, flags in groups:
        lines += ["", f"{title}:", *(f"  --{flag:<22} {text}" for flag, text in flags.items())]
    lines += [
        "",
        "Examples:",
        f"  {name} --text ./server /tmp/profile.0001.heap",
        f"  {name} --ps --lines --base /tmp/profile.0001.heap ./server /tmp/profile.0009.heap > a.ps",
        f"  {name} -http=: server.4711.tide",
        f"  {name} -top -cum -nodecount=20 -focus=handle server.4711.tide",
    ]
    return "\n".join(lines) + "\n"
