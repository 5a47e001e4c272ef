# SPDX-License-Identifier: Apache-2.0
"""Profiles: totals, errors, differences, sums, invariants, export."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from heaptide.model import Frame, Profile, Snapshot, StackTable, StackTableBuilder, merge


def frame(name: str, line: int = 1, **more: object) -> Frame:
    return Frame(name, f"{name}.c", line, "/bin/prog", None, **more)  # type: ignore[arg-type]


def snapshot(number: int) -> Snapshot:
    return Snapshot(number, "time", number * 10**9, float(number), 0)


def profile(rows: dict[str, tuple[int, int, int, int]], *, ids: list[int] | None = None, **more: object) -> Profile:
    """`{"leaf main": (alloc objects, alloc space, in-use objects, in-use space)}`."""
    builder = StackTableBuilder()
    for names in rows:
        builder.add([frame(name) for name in names.split()])
    columns = zip(*rows.values(), strict=True)
    values = dict(
        zip(
            ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space"),
            (np.array(column) for column in columns),
            strict=True,
        )
    )
    return Profile(builder.table(), values, ids=None if ids is None else np.array(ids), **more)  # type: ignore[arg-type]


def shown(one: Profile, value: str) -> dict[str, float]:
    return {
        " ".join(frame.function or "?" for frame in one.frames_of(row)): one.values[value][row].item()
        for row in range(len(one))
    }


A = {"leak main": (10, 1000, 10, 1000), "cache main": (5, 500, 2, 200)}
B = {"leak main": (20, 2000, 20, 2000), "cache main": (9, 900, 1, 100), "new main": (1, 7, 1, 7)}


def test_total_and_error_in_exact_mode():
    one = profile(A)
    one.check()
    assert one.total("inuse_space") == 1200 and isinstance(one.total("inuse_space"), int)
    assert one.error("inuse_space") == 0 and one.errors("inuse_objects").tolist() == [0, 0]
    with pytest.raises(KeyError):
        one.total("space")


def test_difference_by_id():
    series = object()
    old = profile(A, ids=[16, 17], series=series, at=snapshot(1))
    new = profile(B, ids=[16, 17, 30], series=series, at=snapshot(2))
    difference = new - old
    difference.check()
    assert difference.ids is not None and difference.ids.tolist() == [16, 17, 30]
    assert shown(difference, "inuse_space") == {"leak main": 1000, "cache main": -100, "new main": 7}
    assert (difference.at, difference.base, difference.is_difference) == (new.at, old.at, True)
    assert len(new - new) == 0
    back = old - new
    assert shown(back, "inuse_space") == {"leak main": -1000, "cache main": 100, "new main": -7}


def test_difference_across_series_goes_by_frames():
    old = profile(A, ids=[16, 17], series="one")
    new = profile(dict(reversed(B.items())), ids=[16, 17, 18], series="two")
    difference = new - old
    difference.check()
    assert difference.ids is None
    assert shown(difference, "inuse_space") == {"leak main": 1000, "cache main": -100, "new main": 7}


def test_stacks_that_look_alike_are_one_across_series():
    """Two ids, one name: two places in one line. Their values are added up before they are compared."""
    old = profile({"leak main": (1, 10, 1, 10)}, ids=[16], series="one")
    builder = StackTableBuilder()
    for address in (0x10, 0x20):
        builder.add([replace(frame("leak"), address=address), frame("main")])
    values = {name: np.array([7, 8]) for name in old.values}
    new = Profile(builder.table(), values, ids=np.array([16, 17]), series="two")
    assert shown(new - old, "inuse_space") == {"leak main": 5}


def test_names_match_across_builds_and_addresses_across_runs():
    named, moved = replace(frame("f"), address=0x10), replace(frame("f"), address=0x999, module="/other/prog")
    assert named.key() == moved.key()
    bare, same, other = (
        Frame(None, None, None, "/bin/p", address, unresolved="stripped") for address in (0x10, 0x10, 0x11)
    )
    assert bare.key() == same.key() != other.key()
    lost, folded = (Frame(None, None, None, None, None, unresolved=reason) for reason in ("lost", "log full"))
    assert lost.key() != folded.key()


def test_columns_must_agree():
    foreign = Profile(profile(A).stacks, {"space": np.array([1, 2])})
    with pytest.raises(TypeError, match="alloc_objects"):
        _ = profile(A) - foreign
    with pytest.raises(ValueError):
        merge([])


def test_merge_adds_up_everything():
    merged = merge([profile(A), profile(B), profile(B)])
    merged.check()
    assert shown(merged, "alloc_space") == {"leak main": 5000, "cache main": 2300, "new main": 14}
    assert merge([profile(A)]).total("alloc_space") == 1500


def test_empty_profiles():
    empty = Profile(StackTable([], []), {name: np.zeros(0, np.int64) for name in profile(A).values})
    empty.check()
    assert empty.total("inuse_space") == 0 and empty.error("inuse_space") == 0
    assert shown(profile(A) - empty, "inuse_space") == shown(profile(A), "inuse_space")
    assert len(empty - empty) == 0


def sampled(
    live: list[tuple[float, float]], *, alloc: list[float] | None = None, at: int = 1, mean: float = 100.0
) -> Profile:
    """Rows of (in-use bytes, their variance); blocks of `mean` bytes."""
    space = np.array([int(value) for value, _ in live])
    variance = np.array([value for _, value in live])
    allocated = variance if alloc is None else np.array(alloc)
    values = {
        "alloc_objects": space / mean,
        "alloc_space": space,
        "inuse_objects": space / mean,
        "inuse_space": space,
    }
    builder = StackTableBuilder()
    for number in range(len(live)):
        builder.add([frame(f"f{number}")])
    return Profile(
        builder.table(),
        values,
        mode="sampled",
        ids=np.arange(16, 16 + len(live)),
        variance={"alloc_space": allocated, "inuse_space": variance},
        samples={"alloc_space": np.ones(len(live), np.int64), "inuse_space": np.ones(len(live), np.int64)},
        series="one",
        at=snapshot(at),
    )


def test_error_of_a_sum_and_of_objects():
    one = sampled([(1000, 9.0), (500, 16.0)])
    one.check()
    assert one.error("inuse_space") == pytest.approx(1.96 * 5)
    assert one.errors("inuse_space").tolist() == pytest.approx([1.96 * 3, 1.96 * 4])
    assert one.error("inuse_objects") == pytest.approx(1.96 * 5 / 100)


def test_error_of_a_difference_leaves_out_what_both_share():
    """1000 live samples in both, one more in the second: the difference is as sure as that one sample."""
    old = sampled([(10**6, 1e6)], alloc=[2e6])
    new = sampled([(10**6 + 1000, 1e6 + 100)], alloc=[2e6 + 100], at=2)
    difference = new - old
    difference.check()
    assert difference.error("inuse_space") == pytest.approx(1.96 * 10)
    assert (old - new).error("inuse_space") == pytest.approx(1.96 * 10)
    assert merge([new, old]).error("inuse_space") == pytest.approx(1.96 * (2e6 + 100) ** 0.5)
    other = replace(old, series="two")
    assert (new - other).error("inuse_space") == pytest.approx(1.96 * (2e6 + 100) ** 0.5)


def test_the_interval_of_a_difference_covers_the_truth():
    """Blocks come and go, each sampled as the agent does; the stated interval covers at least 95 of 100 truths."""
    rng = random.Random(7)
    size, interval = 700, 4096.0
    p = 1 - np.exp(-(size + 1) / interval)
    covered = trials = 0
    for _ in range(300):
        births = [rng.random() for _ in range(400)]
        deaths = [birth + rng.expovariate(2) for birth in births]
        taken = [rng.random() < p for _ in births]
        sides = []
        for number, now in ((1, 0.5), (2, 1.0)):
            alive = [birth <= now < death for birth, death in zip(births, deaths, strict=True)]
            truth = size * sum(alive)
            live = sum(mark and on for mark, on in zip(taken, alive, strict=True))
            born = sum(mark and birth <= now for mark, birth in zip(taken, births, strict=True))
            each = size**2 * (1 - p) / p**2
            sides.append((truth, sampled([(live * size / p, live * each)], alloc=[born * each], at=number)))
        difference = sides[1][1] - sides[0][1]
        trials += 1
        covered += abs(difference.total("inuse_space") - (sides[1][0] - sides[0][0])) <= difference.error("inuse_space")
    assert covered / trials >= 0.94


def test_select():
    one = sampled([(1000, 9.0), (500, 16.0), (7, 1.0)])
    for rows in (np.array([True, False, True]), np.array([0, 2])):
        part = one.select(rows)
        part.check()
        assert shown(part, "inuse_space") == {"f0": 1000, "f2": 7}
        assert part.ids is not None and part.ids.tolist() == [16, 18]
        assert part.error("inuse_space") == pytest.approx(1.96 * 10**0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"values": {"inuse_space": np.array([1])}},
        {"values": {"inuse_space": np.array([1, -1])}},
        {"values": {"inuse_space": np.array([5, 1]), "alloc_space": np.array([4, 1])}, "series": "one"},
        {"ids": np.array([17, 16])},
        {"ids": np.array([16])},
        {"stacks": StackTable([], [(0,), ()])},
        {"variance": {"inuse_space": np.array([1.0, 1.0])}},
        {"mode": "sampled", "variance": {"inuse_space": np.array([1.0, float("nan")])}},
        {"mode": "sampled", "variance": {"inuse_space": np.array([1.0, -1.0])}},
    ],
)
def test_check_finds_contradictions(change):
    with pytest.raises(AssertionError):
        replace(profile(A), **change).check()


def test_to_arrow():
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; heaptide does not need it")
    table = sampled([(1000, 9.0), (500, 16.0)]).to_arrow()
    assert table.column("inuse_space").to_pylist() == [1000, 500]
    assert table.column("inuse_space_error").to_pylist() == pytest.approx([5.88, 7.84])
    assert table.column("stack").to_pylist()[0][0]["function"] == "f0"


def test_to_pandas():
    pytest.importorskip("pandas", reason="pandas is not installed; heaptide does not need it")
    frame_of = profile(A, ids=[16, 17]).to_pandas()
    assert frame_of["stack_id"].tolist() == [16, 17] and frame_of["stack"][0][0].function == "leak"
    assert "inuse_space_error" not in frame_of
