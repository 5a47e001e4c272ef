# SPDX-License-Identifier: Apache-2.0
"""What a profile can be written as, and what gets lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heaptide.formats import callgrind, collapsed, pprof, speedscope, text_heap
from heaptide.model.columns import Columns


@dataclass(frozen=True, slots=True)
class Target:
    """A format to write. ``names``: it holds names, so addresses should be named first."""

    name: str
    suffixes: tuple[str, ...]
    names: bool
    one_value: bool
    write: Callable[[Columns, int, str], bytes]
    """From columns, the index of the sample type wanted (where it holds but one), and a title."""
    lacks: Callable[[Columns, int], list[str]]
    """What this profile has and the file will not, as noun phrases; empty when all of it is held."""


def for_name(file_name: str) -> Target | None:
    """The format that a file's name asks for."""
    lower = file_name.lower().rpartition("/")[2]
    if lower.startswith("callgrind.out"):
        return TARGETS["callgrind"]
    return next((target for target in TARGETS.values() if lower.endswith(target.suffixes)), None)


def default_value(columns: Columns) -> int:
    """The sample type to show unless asked: the default that the profile names, else the last."""
    names = [kind.type for kind in columns.sample_types]
    wanted = columns.default_sample_type
    return names.index(wanted) if wanted in names else len(names) - 1


def _not_in_text(columns: Columns, _value: int) -> list[str]:
    held = text_heap.values_of(columns)
    kinds = [kind.type for kind in columns.sample_types]
    lost = [kind for kind in kinds if kind not in held and f"inuse_{kind}" not in held]
    out = [f"the values {', '.join(lost)}"] if lost else []
    if not held:
        out = ["any of its values (it holds objects and bytes, in use and allocated)"]
    nowhere = int((columns.locations.address == 0).sum())
    if nowhere:
        out.append(f"{nowhere} places that have no address")
    if len(columns.locations.function):
        out.append(
            "names of functions, files and lines (it holds addresses; a reader with the same binaries finds them)"
        )
    if any(one.build_id for one in columns.mappings):
        out.append("build ids")
    return out + _estimates(columns) + _labels(columns)


def _not_in_collapsed(columns: Columns, value: int) -> list[str]:
    others = [kind.type for number, kind in enumerate(columns.sample_types) if number != value]
    out = [f"values but {columns.sample_types[value].type} (also there: {', '.join(others)})"] if others else []
    if columns.locations.line.any() or any(columns.functions.filename):
        out.append("files and lines")
    if columns.locations.address.any():
        out.append("addresses and modules")
    return out + _estimates(columns) + _labels(columns)


def _not_in_callgrind(columns: Columns, _value: int) -> list[str]:
    out = ["stacks (it holds functions and the calls between them)"]
    if columns.locations.address.any():
        out.append("addresses")
    return out + _estimates(columns) + _labels(columns)


def _not_in_speedscope(columns: Columns, _value: int) -> list[str]:
    out = []
    if (columns.values < 0).any():
        out.append("rows whose value is negative")
    if columns.locations.address.any():
        out.append("addresses and modules")
    return out + _estimates(columns) + _labels(columns)


def _not_in_pprof(columns: Columns, _value: int) -> list[str]:
    return ["why places have no name"] if columns.locations.unresolved else []


def _estimates(columns: Columns) -> list[str]:
    """That values are estimates of a sampling profiler."""
    return ["that the values are estimates from samples"] if columns.period != 1 and columns.period_type else []


def _labels(columns: Columns) -> list[str]:
    keys = {columns.labels.strings[key] for key in np.unique(columns.labels.key).tolist()}
    return [f"labels ({', '.join(sorted(keys))})"] if keys else []


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "pprof",
            (".pb.gz", ".pb", ".pprof"),
            True,
            False,
            lambda columns, _v, _t: pprof.dump(columns),
            _not_in_pprof,
        ),
        Target("gperftools", (".heap",), False, False, lambda columns, _v, _t: text_heap.dump(columns), _not_in_text),
        Target(
            "collapsed",
            (".folded", ".collapsed", ".txt"),
            True,
            True,
            lambda columns, value, _t: collapsed.dump(columns, value),
            _not_in_collapsed,
        ),
        Target(
            "callgrind",
            (".callgrind",),
            True,
            False,
            lambda columns, _v, _t: callgrind.dump(columns),
            _not_in_callgrind,
        ),
        Target(
            "speedscope",
            (".json",),
            True,
            False,
            speedscope.dump,
            _not_in_speedscope,
        ),
    )
}
