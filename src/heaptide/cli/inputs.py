# SPDX-License-Identifier: Apache-2.0
"""From arguments to a profile: which file, which moment, less what; and the warnings that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide._errors import InputError, NothingToShow, UsageError
from heaptide.cli.guard import say

if TYPE_CHECKING:
    from heaptide.model import Profile, Series, Snapshot

CAPTURE_SUFFIX = ".tide"


@dataclass(frozen=True)
class Chosen:
    """A profile, and what it is of."""

    series: Series
    profile: Profile
    at: Snapshot
    base: str | None
    """In words: the moment or file that was subtracted."""
    unread: tuple[str, ...]
    """What was damaged or cut in the files that were read."""


def newest_capture(directory: Path) -> Path:
    """The capture in ``directory`` that was written to last. UsageError when there is none."""
    found = [path for path in directory.glob(f"*{CAPTURE_SUFFIX}") if path.is_file()]
    if not found:
        raise UsageError(
            f"no capture was named and there is no {CAPTURE_SUFFIX} file here",
            hint="record one: heaptide run -- COMMAND",
        )
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def open_series(path: str | None, search: Sequence[str] = ()) -> Series:
    """The series in a file, by default in the newest capture here. Warnings are printed to stderr."""
    import heaptide

    series = heaptide.open(path if path is not None else newest_capture(Path(".")), search=search)
    for warning in series.warnings:
        say(f"warning: {warning}")
    return series


def choose(path: str | None, at: str, base: str | None, search: Sequence[str] = (), *, mapped: bool = False) -> Chosen:
    """The profile that the options ask for; with `mapped` that of what the program mapped itself.

    Raises:
        InputError: a file cannot be read at all.
        UsageError: a moment makes no sense.
        NothingToShow: the recording holds no snapshot.
    """
    series = open_series(path, search)
    moment = series.moment(at)
    profile = _profile(series, moment, mapped)
    if base is None:
        return Chosen(series, profile, moment, None, _unread(series))
    from heaptide.render import headings

    if not Path(base).is_file():
        earlier = series.moment(base)
        words = f"what there was at {headings.moment(earlier)}"
        return Chosen(series, profile - _profile(series, earlier, mapped), moment, words, _unread(series))
    other = open_series(base, search)
    other_moment = other.moment(at)
    when = headings.moment(other_moment)
    words = f"{base} at {when}" if when else base
    return Chosen(
        series, profile - _profile(other, other_moment, mapped), moment, words, _unread(series) + _unread(other)
    )


def _profile(series: Series, moment: Snapshot, mapped: bool) -> Profile:
    if not mapped:
        return series.at(moment)
    if series.mappings is None:
        raise NothingToShow(f"{series.path} does not say what was mapped", hint="leave --mmap away")
    return series.mappings.at(moment.number)


def _unread(series: Series) -> tuple[str, ...]:
    return (f"{series.path}: parts of it could not be read",) if series.damaged else ()


def finish(chosen: Chosen) -> None:
    """Raises InputError, after the readable part was shown, when a file was damaged."""
    if chosen.unread:
        raise InputError(
            chosen.series.path,
            None,
            "; ".join(chosen.unread),
            hint="what is shown above is what could be read; the warnings say what is missing",
        )


def why_empty(chosen: Chosen, value: str, *, mapped: bool = False) -> NothingToShow:
    """The reason why a profile has no rows, as the error to raise."""
    moment = f"{chosen.series.path} at #{chosen.at.number}"
    if chosen.base is not None:
        return NothingToShow(
            f"nothing changed: {moment} equals the base", hint="try other moments, or --value alloc_space"
        )
    if mapped:
        return NothingToShow(f"no mapping was recorded: {moment}", hint="leave --mmap away to see allocations")
    if chosen.at.allocated_bytes and value.startswith("inuse"):
        what = "every sampled block" if chosen.profile.mode == "sampled" else "everything that was allocated"
        return NothingToShow(
            f"nothing is in use: {moment}, {what} has been freed",
            hint="try --at peak, or --value alloc_space",
        )
    return NothingToShow(f"nothing was recorded: {moment} holds no allocation", hint="see: heaptide doctor")
