# SPDX-License-Identifier: Apache-2.0
"""From pprof's arguments to one profile: what is named is read, given names, summed, and the base taken away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide._errors import InputError, UsageError
from heaptide.cli.guard import say
from heaptide.cli.pprof_binaries import located
from heaptide.cli.pprof_flags import Request

if TYPE_CHECKING:
    from heaptide.analysis.simplify import Names
    from heaptide.model import Series
    from heaptide.model.columns import Columns
    from heaptide.symbolize import Symbolizer

_NAMES: dict[str, Names] = {"full": "full", "templates": "templates", "none": "none", "default": "simple"}
_LOOKING_UP = ("", "none", "no", "local", "fastlocal", "force", "remote")


@dataclass(slots=True)
class Source:
    """What the profile was made of."""

    columns: Columns
    symbolizer: Symbolizer
    read: list[Series] = field(default_factory=list)
    """The captures: what of them is damaged is said after the answer."""
    is_difference: bool = False


def gather(request: Request) -> Source:
    """The profile that a command line is about.

    Raises:
        UsageError: no profile is named, or they cannot be added up.
        InputError: a file cannot be read.
    """
    from heaptide.analysis.mixing import merged

    program, paths = _split(request.files)
    reader = _Reader(request, program)
    profiles = [reader.profile(path) for path in paths]
    columns = merged(profiles) if len(profiles) > 1 else profiles[0]
    bases = request.lists.get("base") or request.lists.get("diff_base") or []
    if bases:
        columns = _less(columns, [reader.base(text, paths) for text in bases], request)
    columns = _described(columns, request, program)
    if not request.on("all_frames"):
        columns = _pruned(columns)
    return Source(columns, reader.symbolizer, reader.read, bool(bases))


def _split(files: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """PROGRAM, if the first file is an executable, and the profiles."""
    from heaptide.symbolize.files import Image, open_image

    if not files:
        raise UsageError("no profile was named", hint="see: heaptide pprof --help")
    if not isinstance(open_image(files[0]), Image):
        if len(files) > 1 and not Path(files[0]).exists():
            raise InputError(files[0], None, "No such file or directory")
        return None, files
    if len(files) == 1:
        raise UsageError(f"{files[0]} is a program; name a profile after it")
    return files[0], files[1:]


class _Reader:
    """Reads files one after the other, with one memory for symbols."""

    def __init__(self, request: Request, program: str | None) -> None:
        from heaptide.symbolize import Symbolizer

        self.request, self.program = request, program
        self.read: list[Series] = []
        self.directories = search_path(request)
        self.symbolizer = Symbolizer(search=self.directories)
        self._series: dict[str, Series] = {}
        self.look_up, self.names = _symbolize_options(request.settings.get("symbolize", ""))
        if request.on("no_strip_temp") and self.names == "simple":
            self.names = "templates"

    def profile(self, path: str) -> Columns:
        """The profile in a file; of a capture, that of the moment asked for."""
        from heaptide import build_foreign

        if build_foreign.is_foreign(path):
            return self._foreign(path)
        return self._moment(path, self.request.settings.get("at", "end"))

    def base(self, text: str, paths: Sequence[str]) -> Columns:
        """A base: another file, or an earlier moment of the capture."""
        if len(paths) == 1 and not os.path.exists(text) and paths[0] in self._series:
            return self._moment(paths[0], text)
        return self.profile(text)

    def _foreign(self, path: str) -> Columns:
        from heaptide import build_foreign

        foreign = build_foreign.read(path)
        for warning in foreign.warnings:
            say(f"warning: {path}: {warning}")
        columns = located(foreign.columns, self.directories) if self.look_up else foreign.columns
        if self.look_up:
            columns = build_foreign.symbolized(columns, program=self.program, symbolizer=self.symbolizer)
        return self._with_names(columns)

    def _moment(self, path: str, moment: str) -> Columns:
        from heaptide import build
        from heaptide.cli import inputs
        from heaptide.model.flatten import columns_of

        if path not in self._series:
            series = self._series[path] = build.load(path, symbolizer=self.symbolizer)
            self.read.append(series)
            for warning in series.warnings:
                say(f"warning: {warning}")
            if not series.snapshots:
                inputs.finish([series])
        columns = columns_of(self._series[path].at(moment), self._series[path].images)
        return self._with_names(located(columns, self.directories))

    def _with_names(self, columns: Columns) -> Columns:
        from heaptide.analysis.simplify import with_names
        from heaptide.symbolize.demangle import demangle

        return with_names(columns, self.names, demangle) if self.look_up else columns


def search_path(request: Request) -> tuple[Path, ...]:
    """Directories with programs and libraries: ``--lib_prefix``, ``--add_lib``'s, then $PPROF_BINARY_PATH."""
    words = [*request.words("lib_prefix"), *(os.path.dirname(lib) or "." for lib in request.lists.get("add_lib", []))]
    listed = os.environ.get("PPROF_BINARY_PATH") or os.path.expanduser("~/pprof/binaries")
    return tuple(Path(word) for word in [*words, *listed.split(os.pathsep)] if word and os.path.isdir(word))


def _symbolize_options(text: str) -> tuple[bool, Names]:
    """``--symbolize``: whether names are looked up, and how they are written."""
    look_up, names = True, _NAMES["default"]
    for option in text.lower().split(":"):
        if option.startswith("demangle="):
            asked = option.removeprefix("demangle=")
            if asked not in _NAMES:
                raise UsageError(f"--symbolize={text}: no names are written {asked!r}")
            names = _NAMES[asked]
        elif option not in _LOOKING_UP:
            raise UsageError(f"--symbolize={text}: {option!r} is no way to look up names")
        elif option in ("none", "no"):
            look_up = False
    return look_up, names


def _less(columns: Columns, bases: Sequence[Columns], request: Request) -> Columns:
    from heaptide.analysis import mixing

    base = mixing.merged(bases) if len(bases) > 1 else bases[0]
    if request.lists.get("diff_base"):
        base = mixing.marked_as_base(base)
    if request.on("normalize"):
        columns = mixing.normalised(columns, base)
    columns, base = mixing.in_common([columns, base])
    return mixing.merged([columns, mixing.scaled(base, [-1.0] * len(base.sample_types))])


def _pruned(columns: Columns) -> Columns:
    """The profile without the frames that it says are to be dropped; all of them where it says nonsense."""
    from heaptide.analysis.filters import prune
    from heaptide.analysis.patterns import BadPattern

    try:
        return prune(columns)
    except BadPattern as error:
        say(f"warning: the profile's own list of frames to drop is no regular expression ({error}): all are shown")
        return columns


def _described(columns: Columns, request: Request, program: str | None) -> Columns:
    """The profile with what the command line says of it: the program, its build id, a comment."""
    from heaptide.model.columns import Mapped

    mappings = columns.mappings or (Mapped(),)
    main = mappings[0]
    if program is not None:
        main = replace(main, file=program)
    if not main.build_id:
        main = replace(main, build_id=request.settings.get("buildid", ""))
    comment = request.settings.get("add_comment")
    return replace(
        columns,
        mappings=(main, *mappings[1:]) if columns.mappings or main != Mapped() else (),
        comments=(*columns.comments, *([comment] if comment else [])),
    )
