# SPDX-License-Identifier: Apache-2.0
"""What a following view asks: held against `growth` and against differences of profiles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from heaptide import build
from heaptide._errors import NothingToShow
from heaptide.analysis import watch as watching
from heaptide.analysis.growth import Judgement, judge
from heaptide.analysis.growth.sites import SiteKey, site_key
from heaptide.analysis.marks import Span, cut, generations, mark_of
from heaptide.analysis.spots import Key, Question, callers_of, closely, spots_of
from heaptide.analysis.watch import Watch, curve, judged, look
from heaptide.model import Series
from heaptide.symbolize import Module, SourceFrame
from tests.builders import hostile
from tests.builders.capture import CaptureBuilder, Counter
from tests.builders.live import MIB, Names, read, recording

LEAKS: Key = ("heap", ("leaks", "/src/leaks.c", 16))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prog.tide"


@pytest.fixture
def seen(path: Path) -> Watch:
    return judged(look(read(recording(path, 20))))


def test_verdicts_are_those_of_growth(seen: Watch) -> None:
    found = {spot.key[1]: spot.judgement for spot in spots_of(seen, Question()).shown}
    assert len(found) == 3 and found == of_growth(seen.series)


def test_verdicts_of_many_sites_that_one_caller_spreads(tmp_path: Path) -> None:
    seen = judged(look(build.load(hostile.a_capture(tmp_path))))
    found = {spot.key[1]: spot.judgement for spot in spots_of(seen, Question()).shown}
    assert len(found) == len(hostile.NAMES)
    expected = of_growth(seen.series)
    assert not [key for key, judgement in found.items() if judgement != expected[key]]


def of_growth(series: Series) -> dict[SiteKey, Judgement]:
    """By site what `heaptide growth` judges, sites beneath a caller among them."""
    every = [part for suspect in judge(series).suspects for part in suspect.parts or (suspect,)]
    return {site_key(one.site): one.judgement for one in every if one.site is not None}


def test_only_the_largest_are_judged(seen: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LARGEST", 1)
    judgements = judged(look(seen.series)).accounts[0].judgements
    frames = seen.accounts[0].sites.frames
    assert {frames[place].function for place in judgements} == {"leaks"}  # type: ignore[union-attr]
    again = spots_of(judged(look(seen.series)), Question(order="rate")).shown
    assert [spot.judgement is None for spot in again] == [False, True, True], "those that were not judged come last"


def test_too_few_snapshots_are_not_judged(path: Path) -> None:
    seen = judged(look(read(recording(path, 5))))
    assert seen.too_short == "5 snapshots over 4.0 s" and not seen.accounts[0].judgements


def test_nothing_to_look_at(path: Path) -> None:
    path.write_bytes(CaptureBuilder("exact").process().data())
    with pytest.raises(NothingToShow):
        look(read(path))


@pytest.mark.parametrize(
    ("order", "value", "expected"),
    [
        ("value", "inuse_space", ["leaks", "churns", "keeps"]),
        ("value", "alloc_space", ["churns", "leaks", "keeps"]),
        ("since", "alloc_space", ["churns", "leaks", "keeps"]),
        ("rate", "inuse_space", ["leaks", "churns", "keeps"]),
        ("verdict", "inuse_objects", ["leaks", "churns", "keeps"]),
        ("site", "inuse_space", ["churns", "keeps", "leaks"]),
    ],
)
def test_orders(seen: Watch, order: str, value: str, expected: list[str]) -> None:
    found = spots_of(seen, Question(value=value, order=order)).shown  # type: ignore[arg-type]
    assert [spot.frame.function for spot in found if spot.frame] == expected


def test_pattern_and_limit(seen: Watch) -> None:
    found = spots_of(seen, Question(pattern=re.compile("/src/(leaks|keeps)"), limit=1))
    assert [spot.key for spot in found.shown] == [LEAKS] and (found.matching, found.total) == (2, 3)
    assert spots_of(seen, Question(pattern=re.compile("/bin/prog"))).matching == 3, "modules count"


def test_growth_since_a_mark_outlives_its_snapshot(path: Path) -> None:
    mark = mark_of(look(read(recording(path, 10))))
    later = look(read(recording(path, 25)))
    spot = spots_of(later, Question(span=Span(mark))).shown[0]
    assert spot.key == LEAKS and (spot.value, spot.since) == (75 * MIB, 45 * MIB)
    callers = callers_of(later, Question(span=Span(mark)), LEAKS)
    assert [(one.frame.function, one.value, one.since) for one in callers] == [
        ("left", 50 * MIB, 30 * MIB),
        ("right", 25 * MIB, 15 * MIB),
    ]
    assert all(one.deeper for one in callers)
    above = callers_of(later, Question(), LEAKS, [callers[1].key])
    assert [(one.frame.function, one.value, one.deeper) for one in above] == [("main", 25 * MIB, False)]
    assert callers_of(later, Question(), LEAKS, [callers[1].key, above[0].key]) == ()
    assert callers_of(later, Question(), ("heap", ("gone", None, None))) == ()


def test_generations_add_up(path: Path) -> None:
    first = mark_of(look(read(recording(path, 10))))
    second = mark_of(look(read(recording(path, 16))))
    seen = look(read(recording(path, 30)))
    found = generations(seen, [first, second])
    assert [one.grew_bytes for one in found] == [27 * MIB, 18 * MIB, 42 * MIB]
    assert [one.grew_objects for one in found] == [27, 18, 42]
    assert [(one.from_s, one.to_s) for one in found] == [(1, 10), (10, 16), (16, 30)]
    assert sum(one.grew_bytes for one in found) == seen.at.in_use_bytes - seen.series.snapshots[0].in_use_bytes
    assert all(one.left_bytes is None for one in found), "nobody read births"


def test_what_is_exported(path: Path) -> None:
    mark = mark_of(look(read(recording(path, 10))))
    seen = look(read(recording(path, 20)))
    series = seen.series
    whole = cut(seen, Question().span, None)
    assert whole.before is None and whole.profile.total("inuse_space") == seen.at.in_use_bytes
    since = cut(seen, Span(mark), None)
    expected = series.at(20) - series.at(10)
    assert since.profile.is_difference and len(since.profile) == len(expected) == 3
    assert since.profile.total("alloc_space") == expected.total("alloc_space") == 80 * MIB
    only = cut(seen, Span(mark), re.compile("leaks"))
    assert only.profile.total("inuse_space") == 30 * MIB and only.before is not None
    assert only.before.total("inuse_space") == 30 * MIB


def test_one_site_in_full(seen: Watch) -> None:
    close = closely(seen, Question(), LEAKS)
    assert close is not None and close.values["alloc_space"] == 60 * MIB and close.errors["inuse_space"] == 0
    assert [frame.function for frame in close.stack] == ["leaks", "left", "main"]
    assert closely(seen, Question(), ("mmap", LEAKS[1])) is None


def test_curves(seen: Watch) -> None:
    assert curve(seen.series, "statm_resident", 20) == tuple((number * 3 + 4) * MIB for number in range(1, 21))
    assert curve(seen.series, "in_use", 2) == (6 * MIB, 63 * MIB)
    assert curve(seen.series, "cgroup_current", 5) == ()


def test_errors_of_a_sample(path: Path) -> None:
    made = CaptureBuilder("sampled").process()
    made.module(1, 0x400000, 0x500000, bias=0x400000, path="/bin/prog", flags=1).stacks([(16, [0x401001])])
    for number in range(1, 11):
        made.snapshot("time", {16: Counter(number * MIB, number, 0, 0, 4.0e10 * number, 0.0, number, 0)})
    path.write_bytes(made.data())
    spot = spots_of(look(read(path)), Question()).shown[0]
    assert spot.error == pytest.approx(1.96 * np.sqrt(4.0e11))


class Counting(Names):
    asked = 0

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        self.asked += len(vaddrs)
        return super().resolve(module, vaddrs)


def test_a_recording_that_grew_keeps_its_names(path: Path) -> None:
    names = Counting()
    first = build.load(recording(path, 5), symbolizer=names)
    first.at(5)
    asked = names.asked
    again = build.load(recording(path, 9), symbolizer=names, before=first)
    assert again.at(9).frames_of(0) == first.at(5).frames_of(0) and names.asked == asked > 0
    other = build.load(recording(path, 9, program="other"), symbolizer=names, before=first)
    assert other.at(9).frames_of(0)[0].module == "/bin/other" and names.asked == 2 * asked, "another program"
