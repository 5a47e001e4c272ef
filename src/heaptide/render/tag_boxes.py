# SPDX-License-Identifier: Apache-2.0
"""Boxes for the labels of a graph's node, in DOT. Rules: pprof's (internal/graph/dotgraph.go)."""

from __future__ import annotations

from collections.abc import Sequence

from heaptide.analysis.graph import MAX_TAGS
from heaptide.analysis.measures import scale
from heaptide.analysis.node_tags import NodeTags, Tag
from heaptide.render import units
from heaptide.render.harmless import harmless


def tag_boxes(tags: NodeTags, node: str, has_callees: bool, dialect: units.Dialect) -> list[str]:
    """The lines for one node's boxes, none where it has no labels worth a value.

    Nodes that call others show flat values, since what runs through them stands further down; the others show all.
    """
    lines: list[str] = []
    sizes = tags.sizes or {}
    for number, tag in enumerate(_sorted(tags.texts, has_callees)[:MAX_TAGS]):
        value = tag.flat if has_callees else tag.cum
        if value:
            lines += _box(node, f"{node}_{number}", tag.name, dialect.value(value))
            lines += _size_boxes(sizes.get(tag.name, ()), f"{node}_{number}", has_callees, dialect)
    return lines + _size_boxes(sizes.get("", ()), node, has_callees, dialect)


def _size_boxes(tags: Sequence[Tag], node: str, has_callees: bool, dialect: units.Dialect) -> list[str]:
    lines = []
    for number, tag in enumerate(_grouped(_sorted(tags, has_callees), has_callees)):
        flat = has_callees or tag.flat == tag.cum
        value = tag.flat if flat else tag.cum
        if value:
            style = "" if flat else ' style="dotted"'
            lines += _box(node, f"N{node}_{number}", tag.name, dialect.value(value), style)
    return lines


def _box(node: str, name: str, label: str, value: str, style: str = "") -> list[str]:
    text = "\\n".join(harmless(line).replace("\\", "\\\\").replace('"', '\\"') for line in label.split("\n"))
    return [
        f'{name} [label = "{text}" id="{name}" fontsize=8 shape=box3d tooltip="{value}"]',
        f'{node} -> {name} [label=" {value}" weight=100 tooltip="{value}" labeltooltip="{value}"{style}]',
    ]


def _sorted(tags: Sequence[Tag], flat: bool) -> list[Tag]:
    """By falling absolute value, then by name."""
    return sorted(tags, key=lambda tag: (0 if flat else -abs(tag.cum), -abs(tag.flat), tag.name))


def _grouped(tags: list[Tag], flat: bool) -> list[Tag]:
    """At most `MAX_TAGS` sizes: each further one joins the nearest of the first."""
    if len(tags) <= MAX_TAGS:
        return tags
    groups = [[tag] for tag in tags[:MAX_TAGS]]
    for tag in tags[MAX_TAGS:]:
        min(groups, key=lambda group: _distance(tag, group[0])).append(tag)
    return _sorted([_joined(group) for group in groups], flat)


def _distance(tag: Tag, other: Tag) -> float:
    return abs(scale(other.value, other.unit, tag.unit)[0] - tag.value)


def _joined(group: list[Tag]) -> Tag:
    """One tag for several: ``2B..8B``."""
    low = min(group, key=lambda tag: scale(tag.value, tag.unit, group[0].unit)[0])
    high = max(group, key=lambda tag: scale(tag.value, tag.unit, group[0].unit)[0])
    name = units.pprof_value(low.value, low.unit)
    if len(group) > 1:
        name += f"..{units.pprof_value(high.value, high.unit)}"
    return Tag(name, sum(tag.flat for tag in group), sum(tag.cum for tag in group))
