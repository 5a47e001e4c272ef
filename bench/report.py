# SPDX-License-Identifier: Apache-2.0
"""What a report takes and what it loses: time to make, bytes, and how far folded call paths change its tables.

    python -m bench.month --keep month.tide    a month of a program with 50,000 stacks
    python -m bench.report month.tide          its report

Its tables are held against those of all call paths at the last moment: of the hundred functions that hold most, how
many are the same to the byte, and by how much the furthest is off.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Sequence

import numpy as np

import heaptide
from heaptide.analysis.page_stacks import FOLDED, PageStacks
from heaptide.analysis.places import place_of
from heaptide.analysis.prefix_tree import depths
from heaptide.analysis.report import Report, report
from heaptide.cli.sources import Sources
from heaptide.render.page import html, make, maker
from heaptide.render.page.file import report_file

ROWS = 100


class Watched(maker.Maker):
    """Remembers what every document that was tried is made of, and its size."""

    made: list[tuple[Report, int]]

    def document(self, found: Report) -> maker.Document:
        written = super().document(found)
        Watched.made.append((found, len(written.data)))
        return written


def tables(found: PageStacks) -> tuple[dict[object, int], dict[object, int]]:
    """Flat and cumulative bytes in use by function at the last moment."""
    held = np.zeros(len(found.paths), np.int64)
    np.add.at(held, found.changes.row, found.changes.columns["inuse_space"])
    places = [("folded",) if frame is FOLDED else place_of(frame, "function") for frame in found.frames]
    flat: dict[object, int] = {}
    cum: dict[object, int] = {}
    deep = depths(found.tree)[found.site].tolist()
    for path, size, site, depth in zip(found.paths, held.tolist(), found.site_frame.tolist(), deep, strict=True):
        if size:
            flat[places[site]] = flat.get(places[site], 0) + size
            for place in {places[frame] for frame in path[:depth]}:
                cum[place] = cum.get(place, 0) + size
    return flat, cum


def print_loss(whole: PageStacks, kept: PageStacks) -> None:
    total = sum(tables(whole)[0].values())
    for name, full, part in zip(("flat", "cumulative"), tables(whole), tables(kept), strict=True):
        largest = sorted(full, key=lambda place: -full[place])[:ROWS]
        off = [abs(full[place] - part.get(place, 0)) for place in largest]
        same = sum(difference == 0 for difference in off)
        print(f"  {name}: {same} of the {len(largest)} largest the same; furthest off by {max(off) / total:.3%} of all")


def main(arguments: Sequence[str] | None = None) -> None:
    """Makes it and prints."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("capture")
    options = parser.parse_args(arguments)
    Watched.made, make.Maker = [], Watched  # type: ignore[misc]
    cpu, wall = time.process_time(), time.monotonic()
    page, series = html.template(), heaptide.open(options.capture)
    found = report(series)
    gathered = time.process_time() - cpu
    whole = report_file(found, Sources().lines, page=page, title="heaptide")
    kept, packed = max((one for one in Watched.made if one[1] * 4 / 3 < len(whole)), key=lambda one: one[1])
    spent, most = time.process_time() - cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{options.capture}: {len(series.snapshots)} snapshots, {series.mode}")
    print(f"  report {len(whole):,} bytes: template {len(page.encode()):,}, document {packed:,} packed")
    for full, part in zip(found.stacks, kept.stacks, strict=True):
        print(
            f"  {part.kind}: {len(full.paths):,} call paths, {part.folded:,} of them folded; "
            f"{len(kept.shots)} moments, {len(part.tree.parent):,} nodes"
        )
    print(
        f"  made in {spent:.1f} s of CPU ({gathered:.1f} s of it judging and reading), {time.monotonic() - wall:.1f} s "
        f"by the clock at load {os.getloadavg()[0]:.1f}; {most / 1024:.0f} MiB at most"
    )
    print_loss(found.stacks[0], kept.stacks[0])


if __name__ == "__main__":
    main()
