# SPDX-License-Identifier: Apache-2.0
"""Sums and differences of profiles held as columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide._errors import UsageError
from heaptide.analysis import tags
from heaptide.analysis.mixing import marked_as_base, merged, normalised, scaled
from heaptide.model.columns import Columns, ValueType
from tests.builders.some_columns import some_columns, stacks_of


def less(new: Columns, old: Columns) -> dict[str, tuple[int, ...]]:
    found = merged([new, scaled(old, [-1.0, -1.0])])
    found.check()
    return dict(stacks_of(found))


def test_stacks_of_two_runs_match_although_the_program_lay_elsewhere() -> None:
    first = some_columns({"a main": (1, 10), "b main": (2, 20)}, start=0x1000)
    second = some_columns({"b main": (5, 50), "a main": (1, 10)}, start=0x7F0000)
    assert less(first, first) == {} and less(second, some_columns(dict(stacks_of(second)), start=0x1000)) == {}
    moved = some_columns({"a main": (4, 40), "b main": (2, 20), "c main": (1, 7)}, start=0x7F0000)
    assert less(moved, first) == {"a main": (3, 30), "c main": (1, 7)}


def test_another_program_does_not_match() -> None:
    ours, theirs = some_columns({"a": (1, 10)}), some_columns({"a": (1, 10)}, file="/bin/other")
    assert [values for _, values in stacks_of(merged([ours, theirs]))] == [(1, 10), (1, 10)]
    same = replace(theirs.mappings[0], file="/elsewhere/prog", build_id="abcd")
    marked = replace(ours, mappings=(replace(ours.mappings[0], build_id="abcd"),))
    assert len(merged([marked, replace(theirs, mappings=(same,))])) == 1, "the same build, at two paths"


def test_samples_are_the_same_by_stack_and_labels() -> None:
    one = some_columns([("a", (1, 10)), ("a", (2, 20)), ("a", (3, 30))], [{"who": "x"}, {"who": "y"}, {"who": "x"}])
    assert dict(Counter(values for _, values in stacks_of(merged([one, one])))) == {(8, 80): 1, (4, 40): 1}


_PROFILE = st.dictionaries(st.sampled_from(["a", "b a", "c b a", "d+ a", "a a"]), st.integers(-50, 50), max_size=5)


@given(st.lists(_PROFILE, min_size=1, max_size=4))
def test_a_sum_is_the_sum_of_its_parts(parts: list[dict[str, int]]) -> None:
    profiles = [
        some_columns({stack: (value, 7 * value) for stack, value in part.items()}, start=0x1000 * (i + 1))
        if part
        else some_columns({"a": (0, 0)})
        for i, part in enumerate(parts)
    ]
    total: Counter[str] = Counter()
    for part in parts:
        total.update({stack.replace("+ ", "+"): value for stack, value in part.items()})
    found = merged(profiles)
    found.check()
    assert {stack: value for stack, (value, _) in stacks_of(found)} == {s: v for s, v in total.items() if v}


def test_values_are_matched_by_name_and_unit() -> None:
    bytes_ = some_columns({"a": (1, 2048)})
    kilobytes = some_columns({"a": (3, 2)}, types=(ValueType("inuse_space", "kb"), ValueType("extra", "count")))
    found = merged([bytes_, kilobytes])
    assert found.sample_types == (ValueType("inuse_space", "bytes"),) and stacks_of(found) == [("a", (5120,))]
    short = some_columns({"a": (1, 10)}, types=(ValueType("objects", "count"), ValueType("space", "bytes")))
    assert [kind.type for kind in merged([short, bytes_]).sample_types] == ["inuse_objects", "inuse_space"]
    with pytest.raises(UsageError, match="no value in common"):
        merged([bytes_, some_columns({"a": (1,)}, types=(ValueType("cpu", "ns"),))])
    with pytest.raises(UsageError, match="in bytes in one profile"):
        merged([some_columns({"a": (1, 1)}, types=(TYPE, ValueType("inuse_space", "ns"))), bytes_])


TYPE = ValueType("inuse_objects", "count")


def test_scaling_rounds_half_away_from_zero() -> None:
    found = scaled(some_columns({"a": (3, -5), "b": (1, 0), "c": (0, 1)}), [0.5, 0.5])
    assert stacks_of(found) == [("a", (2, -3)), ("b", (1, 0)), ("c", (0, 1))]
    assert len(scaled(some_columns({"a": (1, 1)}), [0.1, 0.1])) == 0


def test_normalised_profiles_have_the_base_s_total() -> None:
    found = normalised(some_columns({"a": (10, 100), "b": (10, 300)}), some_columns({"a": (40, 40)}))
    assert found.values.sum(axis=1).tolist() == [40, 40]


def test_the_base_is_marked() -> None:
    labelled = some_columns({"a": (1, 10), "b": (2, 20)}, [{"who": "x", "bytes": 7}])
    marked = marked_as_base(labelled)
    marked.check()
    assert tags.rows_of_base(marked).all() and not tags.rows_of_base(labelled).any()
    assert tags.keys_of(marked) == {"who", "bytes", "pprof::base"}
    joint = merged([labelled, scaled(marked, [-1.0, -1.0])])
    assert len(joint) == 4 and tags.rows_of_base(joint).tolist() == [False, False, True, True]


def test_what_a_sum_says_of_its_parts() -> None:
    first = replace(some_columns({"a": (1, 10)}), comments=("x", "y"), time_ns=50, duration_ns=5, period=4, doc_url="")
    second = replace(first, comments=("y", "z"), time_ns=20, duration_ns=7, period=9, doc_url="https://x")
    found = merged([first, second])
    assert (found.comments, found.time_ns, found.duration_ns, found.period) == (("x", "y", "z"), 20, 12, 9)
    assert found.doc_url == "https://x" and found.mappings == first.mappings
    assert found.values.dtype == np.int64
