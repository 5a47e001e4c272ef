# SPDX-License-Identifier: Apache-2.0
"""From arguments to a profile: which file, which moment, less what; and the warnings that go with it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide._errors import InputError, NothingToShow, UsageError
from heaptide.cli.guard import say

if TYPE_CHECKING:
    from heaptide.analysis.growth.work import Per, Ratio
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
    read: tuple[Series, ...]
    """Every recording that the profile was made of."""
    before: Profile | None = None
    """What was subtracted."""
    remark: str | None = None
    """What else there is to say of the choice, in words."""
    ratio: Ratio | None = None
    """What the values of the recording that was subtracted were multiplied by, and why."""


def newest_capture(directory: Path) -> Path:
    """The capture in ``directory`` that was written to last. UsageError when there is none."""
    found = [path for path in directory.glob(f"*{CAPTURE_SUFFIX}") if path.is_file()]
    if not found:
        raise UsageError(
            f"no capture was named and there is no {CAPTURE_SUFFIX} file here",
            hint="record one: heaptide run -- COMMAND",
        )
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def must_be_there(path: str) -> None:
    """For what follows a file: InputError where there is none, since nobody would see it wait for ever."""
    if os.path.isdir(path):
        raise InputError(path, None, "Is a directory", hint="name a file in it: NAME.PID.tide")
    if not os.path.exists(path):
        raise InputError(path, None, "No such file or directory")


def open_series(path: str | None, search: Sequence[str] = (), program: str | None = None) -> Series:
    """The series in a file, by default in the newest capture here. Warnings are printed to stderr.

    Raises:
        InputError: it cannot be read at all, or not one snapshot of it.
    """
    import heaptide

    series = heaptide.open(path if path is not None else newest_capture(Path(".")), search=search, program=program)
    for warning in series.warnings:
        say(f"warning: {warning}")
    if not series.snapshots:
        finish([series])
    return series


def choose(
    path: str | None,
    at: str,
    base: str | None,
    search: Sequence[str] = (),
    *,
    mapped: bool = False,
    program: str | None = None,
    born: tuple[str, str] | None = None,
    per: Per | None = None,
) -> Chosen:
    """The profile that the options ask for; with `mapped` that of what the program mapped itself, with `born` that of
    the survivors of what was allocated between two moments, with `per` less what the other recording would hold had it
    run as long, or allocated as much.

    ``program``: the executable of a foreign file, where it no longer stands at its recorded path.

    Raises:
        InputError: a file cannot be read at all, or not one snapshot of it.
        UsageError: a moment makes no sense.
        NothingToShow: the recording holds no snapshot.
    """
    opened = open_series(path, search, program)
    series = _account(opened, mapped)
    moment = series.moment(at)
    if born is not None:
        _two_recordings_for(per)
        return _survivors(series, moment, born, alone=base is None and not mapped)
    profile = series.at(moment)
    if base is None:
        _two_recordings_for(per)
        return Chosen(series, profile, moment, None, (series,))
    from heaptide.render import headings

    earlier = _earlier(series, base)
    if earlier is not None:
        _two_recordings_for(per)
        words = f"what there was at {headings.moment(earlier)}"
        old = series.at(earlier)
        return Chosen(series, profile - old, moment, words, (series,), old)
    other = open_series(base, search)
    return _less(Chosen(series, profile, moment, None, (series,)), opened, other, base, at, mapped=mapped, per=per)


def _less(
    chosen: Chosen, opened: Series, other: Series, base: str, at: str, *, mapped: bool, per: Per | None
) -> Chosen:
    """A choice less what another recording, named `base`, holds at its moment `at`.

    The measure is the process's, with mappings too: so `opened` is the recording itself and not its mappings.
    """
    from heaptide.render import headings

    account = _account(other, mapped)
    moment = account.moment(at)
    when = headings.moment(moment)
    words, old, ratio = f"{base} at {when}" if when else base, account.at(moment), None
    if per is not None:
        from heaptide.analysis.growth.work import ratio_of
        from heaptide.model.algebra import scaled

        ratio = ratio_of(other, f"#{moment.number}", opened, f"#{chosen.at.number}", per)
        words, old = f"{words}, {headings.ratio(ratio)}", scaled(old, ratio.factor)
    return replace(
        chosen, profile=chosen.profile - old, base=words, read=(chosen.series, account), before=old, ratio=ratio
    )


def _two_recordings_for(per: Per | None) -> None:
    if per is not None:
        raise UsageError("--per compares two recordings", hint="name the other one: --base FILE")


def _survivors(series: Series, at: Snapshot, born: tuple[str, str], *, alone: bool) -> Chosen:
    from heaptide.render import headings

    if not alone:
        raise UsageError("--born goes neither with --base nor with --mmap", hint="the births are what is told apart")
    profile = series.born(*born, at)
    read = series.moment(series.survivors(at).at_number)
    after, until = (headings.moment(series.moment(text)) for text in born)
    since = "" if born[0] == "start" else f"after {after} and "
    words = f"born {since}until {until}, survivors as read beside {headings.moment(read)}"
    return Chosen(series, profile, at, None, (series,), remark=words)


def born_needs(value: str, born: tuple[str, str] | None) -> None:
    """UsageError where survivors are asked for values that they do not have."""
    if born is not None and not value.startswith("inuse"):
        raise UsageError(f"--born tells of what is in use, not of {value}", hint="use --value inuse_space")


def _account(series: Series, mapped: bool) -> Series:
    """The blocks, or the mappings with their own peak and end."""
    if not mapped:
        return series
    if series.mappings is None:
        raise NothingToShow(f"{series.path} does not say what was mapped", hint="leave --mmap away")
    return series.mappings


def _earlier(series: Series, base: str) -> Snapshot | None:
    """The moment that ``base`` names, None when it is a file's name. A file called `start` is named as `./start`.

    Raises:
        UsageError: it is neither.
        InputError: it looks like a file's name, and there is none.
    """
    try:
        return series.moment(base)
    except UsageError as error:
        if os.path.exists(base):
            return None
        if "/" not in base and not base.endswith((CAPTURE_SUFFIX, ".heap")):
            raise
        raise InputError(base, None, "No such file or directory", hint=error.hint) from None


def finish(read: Sequence[Series]) -> None:
    """Raises InputError, after what could be read was shown, for the first file that is damaged or cut short.

    A recording whose writer still lives may lack its end.
    """
    for series in read:
        if series.damaged or not (series.complete or series.live):
            what = "parts of it could not be read" if series.damaged else "it was cut short"
            shown = "the rest was shown" if series.snapshots else "no snapshot is left to show"
            raise InputError(series.path, None, what, hint=f"the warnings above say what is missing; {shown}")


def why_empty(chosen: Chosen, value: str, *, mapped: bool = False) -> NothingToShow:
    """The reason why a profile has no rows, as the error to raise."""
    moment = f"{chosen.series.path} at #{chosen.at.number}"
    if chosen.base is not None:
        return NothingToShow(
            f"nothing changed: {moment} equals the base", hint="try other moments, or --value alloc_space"
        )
    if chosen.remark is not None:
        return NothingToShow(f"nothing is left of what was {chosen.remark}", hint="try other moments: --born A..B")
    if mapped:
        return NothingToShow(f"no mapping was recorded: {moment}", hint="leave --mmap away to see allocations")
    if chosen.at.allocated_bytes and value.startswith("inuse"):
        what = "every sampled block" if chosen.profile.mode == "sampled" else "everything that was allocated"
        return NothingToShow(
            f"nothing is in use: {moment}, {what} has been freed",
            hint="try --at peak, or --value alloc_space",
        )
    early = chosen.at.number < chosen.series.snapshots[-1].number
    hint = "try a later moment: --at end" if early else "see: heaptide doctor"
    return NothingToShow(f"nothing was recorded: {moment} holds no allocation", hint=hint)
