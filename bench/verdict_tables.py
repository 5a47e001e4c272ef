# SPDX-License-Identifier: Apache-2.0
"""What many runs of the shapes say of the verdict, as text. Every function takes outcomes and gives lines."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.verdict_runs import MODES, Judged, Mode, Outcome
from bench.verdict_stats import Share, lower_bound, upper_bound

TRUE = ("leak", "growing", "filling", "cyclic", "steady")
TOLD = (*TRUE, "unsure", "absent")
BINS = (0.0, 0.02, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Edges of the reliability table's bins; the last includes 1."""
QUOTED = 300
"""Verdicts that a bin needs to be quoted."""


def _outcomes(runs: Iterable[Judged], mode: Mode | None = None) -> list[Outcome]:
    return [one for run in runs for one in run.outcomes if mode is None or run.case.mode == mode]


def confusion(runs: Sequence[Judged]) -> Iterator[str]:
    """True against told, by site, for each mode."""
    for mode in MODES:
        counts = Counter((one.true, one.told) for one in _outcomes(runs, mode))
        yield f"{mode}: true \\ told" + "".join(f"{told:>9}" for told in TOLD)
        for true in TRUE:
            yield f"  {true:18}" + "".join(f"{counts[true, told] or '.':>9}" for told in TOLD)


def precision_and_recall(runs: Sequence[Judged]) -> Iterator[str]:
    """Of sites: {leak, growing} against the rest."""
    for mode in MODES:
        outcomes = _outcomes(runs, mode)
        right = sum(one.acts and one.grows for one in outcomes)
        yield f"{mode}: precision {Share(right, sum(one.acts for one in outcomes))}"
        yield f"{mode}: recall    {Share(right, sum(one.grows for one in outcomes))}"


def missed(runs: Sequence[Judged]) -> Iterator[str]:
    """Recall by family, where something was missed."""
    for mode in MODES:
        for family in dict.fromkeys(run.case.family for run in runs):
            grows = [one for run in runs if run.case.family == family for one in run.outcomes if one.grows]
            here = [one for one in grows if one.case.mode == mode]
            if not all(one.acts for one in here):
                told = Counter(one.told for one in here if not one.acts)
                words = ", ".join(f"{count} {verdict}" for verdict, count in told.most_common())
                yield f"{mode:8} {family:22} found {Share(sum(one.acts for one in here), len(here))}; else {words}"


def false_alarms(runs: Sequence[Judged], leakless: Iterable[str]) -> Iterator[str]:
    """Runs of leakless shapes with any site at leak or growing; bounds are one-sided, 95 %."""
    names = set(leakless)
    quiet = [run for run in runs if run.case.family in names]
    alarmed = sum(bool(run.false_alarms) for run in quiet)
    bound = upper_bound(alarmed, len(quiet)) if quiet else 1.0
    yield f"{alarmed} of {len(quiet)} leakless runs had a false alarm: below {100 * bound:.2f} % of runs"
    for family in dict.fromkeys(run.case.family for run in quiet):
        here = [run for run in quiet if run.case.family == family]
        count = sum(bool(run.false_alarms) for run in here)
        yield f"  {family:22} {count:3} of {len(here):4}, below {100 * upper_bound(count, len(here)):5.1f} %"
    beside = [run for run in runs if run.case.family not in names]
    count = sum(bool(run.false_alarms) for run in beside)
    yield f"beside a true leak, some other site was accused in {count} of {len(beside)} runs"
    for run in runs:
        for one in run.false_alarms:
            yield f"  {run.case.name}: {one.function} is {one.true}, was told {one.told} ({one.confidence:.3f})"


def step_times(runs: Sequence[Judged]) -> Iterator[str]:
    """Steps of the families in which a step is the answer: named, and at the right time."""
    wanted = ("grow-single-step", "grow-overnight-jump", "grow-rare-steps")
    for mode in MODES:
        for family in wanted:
            here = [one for run in runs if run.case.family == family and run.case.mode == mode for one in run.steps]
            told = [one for one in here if one.late_s == one.late_s]
            right = sum(one.right for one in here)
            share = Share(right, len(here))
            yield f"{mode:8} {family:22} told {len(told)} of {len(here)}, right to one snapshot {share}"


def coverage(runs: Sequence[Judged]) -> Iterator[str]:
    """How often the rate's 95 % interval contains the true mean rate, whatever was told of the site."""
    for mode in (*MODES, None):
        known = [one for one in _outcomes(runs, mode) if one.true_rate and one.told != "absent" and one.rate_high]
        inside = sum(one.rate_low <= one.true_rate <= one.rate_high for one in known)
        yield f"{mode or 'both'}: the rate's interval contains the true rate in {Share(inside, len(known))}"
        for family in dict.fromkeys(one.case.family for one in known) if mode else ():
            here = [one for one in known if one.case.family == family]
            below = sum(one.rate_high < one.true_rate for one in here)
            above = sum(one.rate_low > one.true_rate for one in here)
            yield f"  {family:22} {len(here) - below - above:4} of {len(here)}; {below} too low, {above} too high"


def reliability(runs: Sequence[Judged]) -> Iterator[str]:
    """The confidence against the share of sites that really grow."""
    judged = [one for one in _outcomes(runs) if one.told != "absent"]
    yield "confidence      verdicts   claimed   really growing (95 % interval)"
    for low, high in itertools.pairwise(BINS):
        here = [one for one in judged if low <= one.confidence < high or (high == BINS[-1] == one.confidence)]
        if not here:
            continue
        share, claimed = Share(sum(one.grows for one in here), len(here)), sum(o.confidence for o in here) / len(here)
        remark = "covers" if share.low <= claimed <= share.high else "DOES NOT COVER"
        remark = remark if len(here) >= QUOTED else f"{remark}, fewer than {QUOTED}"
        bounds = f"{100 * share.value:6.2f} ({100 * share.low:.2f} to {100 * share.high:.2f})"
        yield f"{low:.2f} to {high:.2f}   {len(here):8}   {100 * claimed:6.2f}   {bounds} %  {remark}"


def detection(points: Mapping[str, Mapping[float, Sequence[Judged]]], function: Mapping[str, str]) -> Iterator[str]:
    """P(found) against n = kept bytes / sampling interval, for each leaking family."""
    for family, by_n in points.items():
        limit = None
        yield f"{family}: n       found                                     confidence >= 0.9"
        for n, runs in sorted(by_n.items()):
            here = [one for run in runs for one in run.outcomes if one.function == function[family]]
            found = sum(one.acts for one in here)
            sure = Share(sum(one.confidence >= 0.9 for one in here), len(here))
            if limit is None and here and lower_bound(found, len(here)) >= 0.9:
                limit = n
            yield f"{n:>20g}  {Share(found, len(here))!s:48}  {sure}"
        yield f"  detection limit (one-sided 95 % lower bound passes 90 %): n = {limit}"
