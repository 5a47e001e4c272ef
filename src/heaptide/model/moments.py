# SPDX-License-Identifier: Apache-2.0
"""From the text of a moment to a snapshot.

| text | snapshot |
|---|---|
| `start` | the first |
| `peak` | the one with the most in use (the earliest of equals) |
| `90s`, `5m`, `1h30m` | the last at or before that time since recording began |
| `-10m` | the last at or before that time before the last snapshot |
| `03:12`, `03:12:40` | the last at or before that time of day, local time; its last time of several |
| `2026-11-22T03:12:40+01:00` | the last at or before that time; local time without an offset |
| `#12` | number 12 |
| `end` | the last before the final fall (below) |
| `exit` | the one taken when the program was gone; without such a one, the last |

A time before recording began, a time of day that it did not see, or a number that is not there, is a UsageError that
says what there is.

**The final fall.** An ordinary shutdown frees what the program held, and then the last snapshots show nothing. `end` is
what the program held before:

1. S is the last snapshot of kind `shutdown` (main returned or exit was called); without one, the last snapshot. While
   the recording is still being written the program runs on, and `end` is simply the last snapshot.
2. The foot: a program that has freed nearly everything in main does a few more things before it returns. F is the
   earliest of the snapshots that run without a break up to S, were taken at most max(2 s, 1 % of the recording's
   length) before S, and differ from S by no more than 1 % of the recording's highest in-use total.
3. The fall: from F, go back as long as the snapshot before has more in use. That ends at P, the last local maximum.
   If P has over twice as much in use as S, `end` is P.
4. Else there was no such foot: go back from S itself in the same way. If P has more in use than S by over 10 % of P,
   `end` is P, else S.

So a leak without teardown, and a teardown that happens after main, show S itself; a load that comes and goes loses at
most its last fall.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from heaptide._errors import NothingToShow, UsageError
from heaptide.model.snapshot import Snapshot

FALL_FRACTION = 0.10
FOOT_FALL_FRACTION = 0.50
FOOT_FRACTION = 0.01
FOOT_SECONDS = 2.0

_HELP = "a moment is start, peak, 90s, -10m, 03:12, an ISO time, #12, end or exit"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(-?)((?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_NUMBER = re.compile(r"#(\d+)")


def find(text: str, snapshots: Sequence[Snapshot], *, live: bool = False, started_realtime_ns: int = 0) -> Snapshot:
    """The snapshot that `text` means.

    Args:
        text: as in the table above.
        snapshots: in the order in which they were taken.
        live: the recording is still being written.
        started_realtime_ns: when recording began.

    Raises:
        UsageError: `text` is no moment, or none of this recording.
        NothingToShow: there are no snapshots.
    """
    if not snapshots:
        raise NothingToShow("the recording holds no snapshot", hint="it was cut short before the first one was written")
    text = text.strip()
    match text:
        case "start":
            return snapshots[0]
        case "peak":
            return max(snapshots, key=lambda snapshot: snapshot.in_use_bytes)
        case "exit":
            return exit_of(snapshots)
        case "end":
            return snapshots[-1] if live else end_of(snapshots)
    if found := _NUMBER.fullmatch(text):
        return _by_number(int(found[1]), snapshots)
    if found := _DURATION.fullmatch(text):
        return _by_offset(text, bool(found[1]), found[2], snapshots)
    return _by_wall_clock(text, snapshots, started_realtime_ns or snapshots[0].realtime_ns)


def exit_of(snapshots: Sequence[Snapshot]) -> Snapshot:
    """The last snapshot of kind `exit`; without one, the last. Needs at least one snapshot."""
    exits = [snapshot for snapshot in snapshots if snapshot.kind == "exit"]
    return exits[-1] if exits else snapshots[-1]


def end_of(snapshots: Sequence[Snapshot]) -> Snapshot:
    """The last snapshot before the final fall, by the rule in this module's head. Needs at least one snapshot."""
    use = [snapshot.in_use_bytes for snapshot in snapshots]
    shutdowns = [index for index, snapshot in enumerate(snapshots) if snapshot.kind == "shutdown"]
    last = shutdowns[-1] if shutdowns else len(snapshots) - 1
    for bottom, fraction in ((_foot(snapshots, last), FOOT_FALL_FRACTION), (last, FALL_FRACTION)):
        top = _climb(use, bottom)
        if use[top] - use[last] > fraction * use[top]:
            return snapshots[top]
    return snapshots[last]


def _climb(use: Sequence[int], bottom: int) -> int:
    """Index of P of the rule: back from `bottom` as long as there was more in use."""
    top = bottom
    while top > 0 and use[top - 1] > use[top]:
        top -= 1
    return top


def _foot(snapshots: Sequence[Snapshot], last: int) -> int:
    """Index of F of the rule: where the flat stretch at the bottom of a final fall begins."""
    bottom = snapshots[last]
    tolerance = FOOT_FRACTION * max(snapshot.in_use_bytes for snapshot in snapshots)
    earliest = bottom.offset_s - max(FOOT_SECONDS, FOOT_FRACTION * bottom.offset_s)
    foot = last
    while foot > 0:
        before = snapshots[foot - 1]
        if before.offset_s < earliest or abs(before.in_use_bytes - bottom.in_use_bytes) > tolerance:
            break
        foot -= 1
    return foot


def _by_number(number: int, snapshots: Sequence[Snapshot]) -> Snapshot:
    for snapshot in snapshots:
        if snapshot.number == number:
            return snapshot
    raise UsageError(
        f"there is no snapshot #{number}", hint=f"this recording has #{snapshots[0].number} to #{snapshots[-1].number}"
    )


def _by_offset(text: str, from_end: bool, duration: str, snapshots: Sequence[Snapshot]) -> Snapshot:
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(duration))
    wanted = snapshots[-1].offset_s - seconds if from_end else seconds
    if wanted < 0:
        raise UsageError(
            f"{text} lies before the recording began", hint=f"it is {snapshots[-1].offset_s:.1f} s long; {_HELP}"
        )
    earlier = [snapshot for snapshot in snapshots if snapshot.offset_s <= wanted]
    return earlier[-1] if earlier else snapshots[0]


def _by_wall_clock(text: str, snapshots: Sequence[Snapshot], began_ns: int) -> Snapshot:
    began, ended = _local(began_ns), _local(snapshots[-1].realtime_ns)
    try:
        wanted = _time_of_day(text, ended) if _CLOCK.fullmatch(text) else datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise UsageError(f"{text!r} is no moment", hint=_HELP) from None
    except OverflowError:
        wanted = datetime.min.replace(tzinfo=UTC)
    if wanted < began.replace(microsecond=0):
        raise UsageError(
            f"{text} lies outside the recording",
            hint=f"it ran from {began.isoformat(timespec='seconds')} to {ended.isoformat(timespec='seconds')}",
        )
    wanted_ns = int(wanted.timestamp() * 1e9)
    earlier = [snapshot for snapshot in snapshots if snapshot.realtime_ns <= wanted_ns]
    return earlier[-1] if earlier else snapshots[0]


def _time_of_day(text: str, ended: datetime) -> datetime:
    """The last time at or before `ended` that clocks showed `text`."""
    hour, minute, second = (int(part) for part in (text + ":00").split(":")[:3])
    wanted = ended.replace(hour=hour, minute=minute, second=second, microsecond=0)
    if wanted > ended:
        naive = wanted.replace(tzinfo=None) - timedelta(days=1)
        wanted = naive.astimezone()
    return wanted


def _local(realtime_ns: int) -> datetime:
    """A time for comparing and showing. Numbers that no calendar holds (a damaged clock) become its first day."""
    try:
        return datetime.fromtimestamp(realtime_ns / 1e9).astimezone()
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0).astimezone()
