# SPDX-License-Identifier: Apache-2.0
"""A table as a profile: one sample for each row, of one location, with its cumulative and its flat value."""

from __future__ import annotations

import numpy as np

from heaptide.analysis.graph import CallGraph
from heaptide.analysis.inquiry import Answer
from heaptide.analysis.measures import scale
from heaptide.model.columns import Columns, Functions, Locations, ValueType


def flat_profile(answer: Answer, graph: CallGraph, unit: str) -> Columns:
    """``-topproto``: value types ``cum`` and ``flat`` in ``unit``, whole numbers."""
    count = len(graph.nodes)
    places = [node.place for node in graph.nodes]
    functions: dict[tuple[str, str, int], int] = {}
    of_node = [
        functions.setdefault((place.function or "", place.file or "", place.start_line or 0), len(functions))
        for place in places
    ]
    values = [[int(scale(value, answer.unit, unit)[0]) for value in (node.cum, node.flat)] for node in graph.nodes]
    names = list(functions)
    return Columns(
        sample_types=(ValueType("cum", unit), ValueType("flat", unit)),
        values=np.ascontiguousarray(np.array(values, np.int64).reshape(count, 2).T),
        stack_start=np.arange(count + 1),
        stack=np.arange(count, dtype=np.int32),
        locations=Locations(
            address=np.array([place.address or 0 for place in places], np.uint64),
            mapping=np.full(count, -1, np.int32),
            folded=np.zeros(count, bool),
            line_start=np.arange(count + 1),
            function=np.array(of_node, np.int32),
            line=np.array([place.line or 0 for place in places], np.int64),
            column=np.array([place.column or 0 for place in places], np.int64),
        ),
        functions=Functions(
            [name for name, _, _ in names],
            ["" for _ in names],
            [file for _, file, _ in names],
            np.array([start for _, _, start in names], np.int64),
        ),
        time_ns=answer.columns.time_ns,
        duration_ns=answer.columns.duration_ns,
        period_type=answer.columns.period_type,
        period=answer.columns.period,
    )
