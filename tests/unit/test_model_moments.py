# SPDX-License-Identifier: Apache-2.0
"""Moments, and above all `end`: the last snapshot before the final fall."""

from __future__ import annotations

import os
import time
from datetime import datetime

import pytest

from heaptide._errors import NothingToShow, UsageError
from heaptide.model import Snapshot
from heaptide.model.moments import find

NOON = int(datetime(2026, 11, 22, 12, 0, 0).timestamp()) * 10**9
DAY = 86400.0
KINDS = {"S": "shutdown", "E": "exit"}


def series(*shape: str | int, step_s: float = 10.0) -> list[Snapshot]:
    """`series(10, 20, "S20", "E0")`: in use at each snapshot, step_s apart; S marks the shutdown, E the exit."""
    snapshots = []
    for number, item in enumerate(shape, start=1):
        text = str(item)
        kind = KINDS.get(text[0], "time")
        in_use = int(text.lstrip("SE")) * 1_000_000
        offset_s = (number - 1) * step_s
        snapshots.append(Snapshot(number, kind, NOON + int(offset_s * 1e9), offset_s, in_use))  # type: ignore[arg-type]
    return snapshots


def at(text: str, *shape: str | int, step_s: float = 10.0, live: bool = False) -> int:
    return find(text, series(*shape, step_s=step_s), live=live, started_realtime_ns=NOON).number


END = {
    "leak without teardown": ((10, 20, 30, "S40", "E40"), 4),
    "leak, all freed in atexit": ((10, 20, 30, "S40", "E0"), 4),
    "leak, freed in atexit while a timed snapshot is taken": ((10, 20, 30, "S40", 15, "E0"), 4),
    "all freed in main before it returns": ((10, 20, 30, "S0", "E0"), 3),
    "freed in main in several snapshots": ((10, 40, 30, 20, "S1", "E0"), 2),
    "freed in main, but for what main still needs": ((10, 40, "S39", "E0"), 3),
    "killed in the middle of its work": ((10, 20, 30, "E30"), 4),
    "killed while it freed": ((10, 40, 20, "E5"), 2),
    "a load that comes and goes, and ends low": ((0, 50, 0, 50, 0, 50, "S0", "E0"), 6),
    "no further back than the last fall": ((0, 90, 0, 50, "S0", "E0"), 4),
    "ends while it rises": ((0, 50, 0, 50, 0, 25, "S50", "E0"), 7),
    "a rise inside of the fall ends the way back": ((100, 60, 70, 30, "S0"), 3),
    "flat": ((30, 30, 30, "S30", "E0"), 4),
    "a fall of a tenth is no fall": ((100, 95, "S90", "E0"), 3),
    "a little more than a tenth is": ((100, 95, "S89", "E0"), 1),
    "one snapshot": ((7,), 1),
    "one snapshot, the shutdown": (("S7",), 1),
    "nothing but the exit": (("E0",), 1),
    "nothing ever in use": ((0, 0, "S0", "E0"), 3),
}


@pytest.mark.parametrize("shape", END)
def test_end(shape):
    snapshots, expected = END[shape]
    assert at("end", *snapshots) == expected


def test_end_crosses_the_foot_of_a_fall():
    """Everything freed, then a timed snapshot, then main returns: no fall between the last two."""
    assert at("end", 100, 100, 0, "S0", "E0", step_s=0.25) == 2
    assert at("end", 100, 60, 1, 0, 1, "S0", "E0", step_s=0.25) == 1
    assert at("end", 100, 100, 0, "S0", "E0", step_s=10) == 4  # ten seconds of idleness are no teardown
    assert at("end", *[100] * 2000, 0, "S0", "E0", step_s=10) == 2000  # but in a run of hours they are


def test_a_flat_run_that_began_with_a_small_peak_is_no_foot():
    assert at("end", 100, 140, 100, 100, 100, "S100", "E0", step_s=0.25) == 6


def test_end_of_a_running_program_is_now():
    assert at("end", 100, 50, 10, live=True) == 3


def test_exit_start_peak():
    assert at("exit", 10, "S40", "E0") == 3
    assert at("exit", 10, 40) == 2
    assert at("start", 10, 40) == 1
    assert at("peak", 10, 40, 40, 5) == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0s", 1),
        ("9.9s", 1),
        ("10s", 2),
        ("25s", 3),
        ("1m", 6),
        ("500ms", 1),
        ("1h30m", 6),
        ("-0s", 6),
        ("-10s", 5),
        ("-11s", 4),
        ("-50s", 1),
        ("#4", 4),
        ("12:00", 1),
        ("12:00:20", 3),
        ("12:00:29", 3),
        (" 12:00:50 ", 6),
        ("2026-11-22T12:00:31", 4),
        ("2026-11-22 12:00:31", 4),
        ("2026-12-01", 6),
    ],
)
def test_times_choose_the_last_at_or_before(text, number):
    assert at(text, 1, 1, 1, 1, 1, 1) == number


@pytest.mark.parametrize("text", ["#7", "#0", "-51s", "2026-11-22T11:59:59", "1999-01-01", "0001-01-01"])
def test_outside_the_recording(text):
    with pytest.raises(UsageError) as caught:
        at(text, 1, 1, 1, 1, 1, 1)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "later", "10", "10 parsecs", "25:99", "12:60", "#", "#x", "-", "--5s", "2026-13-01"]
)
def test_no_moment(text):
    with pytest.raises(UsageError):
        at(text, 1, 1)


def test_no_snapshots():
    with pytest.raises(NothingToShow):
        find("end", [])


def test_a_time_of_day_seen_twice_is_its_last():
    assert at("12:30", *[1] * 30, step_s=DAY / 10) == 21  # 12:00 on the third day; the fourth has no 12:30 yet
    assert at("11:00", *[1] * 11, step_s=DAY / 10) == 10


@pytest.mark.parametrize("text", ["11:00", "11:59:59", "12:00:21", "13:00"])
def test_a_time_of_day_that_it_did_not_see(text):
    with pytest.raises(UsageError, match="outside the recording"):
        at(text, 1, 1, 1)


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


def test_iso_times_with_an_offset(berlin):
    noon = int(datetime.fromisoformat("2026-11-22T12:00:00+01:00").timestamp()) * 10**9
    snapshots = [Snapshot(n, "time", noon + n * 10**9, float(n), 0) for n in range(1, 6)]
    for text in ("2026-11-22T11:00:03Z", "2026-11-22T12:00:03+01:00", "12:00:03", "2026-11-22T06:00:03-05:00"):
        assert find(text, snapshots, started_realtime_ns=noon).number == 3, text


def test_a_clock_that_no_calendar_holds():
    snapshots = [Snapshot(1, "time", 2**63 - 1, 0.0, 5), Snapshot(2, "time", -(2**62), 1.0, 5)]
    assert find("end", snapshots).number == 2
    with pytest.raises(UsageError):
        find("nonsense", snapshots, started_realtime_ns=2**64 - 1)
