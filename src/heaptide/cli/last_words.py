# SPDX-License-Identifier: Apache-2.0
"""What `heaptide run` says at the end: the captures, what was held and where, what it cost, what to type next."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heaptide.render import units

if TYPE_CHECKING:
    from heaptide.launch import RunResult
    from heaptide.model import Series

_MOST_CAPTURES = 5


def last_words(result: RunResult, deadline: float, *, why_off: str | None = None) -> list[str]:
    """The lines to print. Returns by ``deadline`` (of `time.monotonic`); what needs longer is named and left out.

    ``why_off``: what had switched recording off, if anything had.
    """
    if not result.recorded:
        return []  # why was said before the program started
    written = [capture for capture in result.captures if capture.get("path")]
    lines = [f"heaptide: {line}" for line in _troubles(result)]
    if not written:
        why = why_off or "the program ended before it allocated"
        return lines or [f"heaptide: nothing was recorded: {why}; see: heaptide doctor"]
    largest = max(written, key=lambda capture: int(capture.get("in_use_bytes", 0)))
    answer = _Answer(str(largest["path"]))
    answer.start()
    answer.join(max(0.0, deadline - time.monotonic()))
    lines += [f"heaptide: wrote {name}" for name in _names(written)]
    lines.append(f"heaptide: {answer.sentence or _without_symbols(largest)}")
    if answer.verdict:
        lines.append(f"heaptide: {answer.verdict}")
    lines.append(f"heaptide: it cost {_costs(written, answer.costs)}")
    name = shlex.quote(str(largest["path"]))
    if answer.sentence is None:
        lines.append(f"heaptide: symbols still loading, type: heaptide top {name}")
    else:
        lines.append(f"heaptide: see: heaptide {'growth' if answer.verdict else 'top'} {name}")
    return lines


class _Answer(threading.Thread):
    """Opens the capture, finds the site that holds most, and judges. All that may take longer than we may wait."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self._path = path
        self.costs: Mapping[str, int] = {}
        self.sentence: str | None = None
        self.verdict: str | None = None
        """None while it is not known, and where the run was too short for one."""

    def run(self) -> None:
        import heaptide
        from heaptide._errors import HeaptideError
        from heaptide.render import held

        try:
            series = heaptide.open(self._path)
            self.costs = series.costs
            self.sentence = held.sentence(series)
            self.verdict = verdict(series)
        except HeaptideError as error:
            self.sentence = f"{self._path} cannot be read back: {error.message}"


def verdict(series: Series) -> str | None:
    """What grows, in one sentence; None where the recording is too short to tell."""
    from heaptide.analysis.growth import judge
    from heaptide.render.growth import headline

    growth = judge(series)
    return None if growth.verdict == "too-short" else headline(growth)


def _without_symbols(capture: Mapping[str, Any]) -> str:
    size, blocks = units.size(int(capture["in_use_bytes"])), units.blocks(int(capture["in_use_objects"]))
    return f"held at the end: {size} in {blocks}"


def _names(written: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each capture with its size; of many, the largest few and the number of the others."""
    ordered = sorted(written, key=lambda capture: -int(capture.get("in_use_bytes", 0)))
    lines = [f"{capture['path']} ({_about(capture)})" for capture in ordered[:_MOST_CAPTURES]]
    if len(ordered) > _MOST_CAPTURES:
        lines[-1] += f" and {units.count(len(ordered) - _MOST_CAPTURES)} more captures"
    return lines


def _about(capture: Mapping[str, Any]) -> str:
    snapshots = int(capture.get("snapshots", 0))
    plural = "" if snapshots == 1 else "s"
    return f"{units.size(int(capture.get('file_bytes', 0)))}, {snapshots} snapshot{plural}, {capture.get('mode', '?')}"


def _costs(written: Sequence[Mapping[str, Any]], costs: Mapping[str, int]) -> str:
    cpu = max(int(capture.get("recorder_cpu_ns", 0)) for capture in written) / 1e9
    parts = [f"{units.duration(cpu)} of CPU in the recorder"]
    if "agent_bytes" in costs:
        parts.append(f"{units.size(costs['agent_bytes'])} of memory in the program")
    losses: dict[str, int] = {}
    for capture in written:
        for name, number in dict(capture.get("losses", {})).items():
            losses[name] = losses.get(name, 0) + int(number)
    lost = ", ".join(f"{units.count(number)} {name}" for name, number in losses.items())
    return ", ".join(parts) + (f"; counted as lost: {lost}" if lost else "; nothing was lost")


def _troubles(result: RunResult) -> list[str]:
    lines = [
        f"warning: a capture could not be created: {c.get('error', 'unknown')}"
        for c in result.captures
        if not c.get("path")
    ]
    failed = sum(int(capture.get("failed_writes", 0)) for capture in result.captures)
    if failed:
        lines.append(f"warning: {failed} writes to the capture failed: it lacks what they held")
    if result.refused:
        lines.append(f"warning: {result.refused} processes were not recorded (too many at once, or damaged books)")
    if result.going_on:
        lines.append("a process of the program lives on: recording goes on until it ends")
    return lines
