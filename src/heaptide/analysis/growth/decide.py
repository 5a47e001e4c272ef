# SPDX-License-Identifier: Apache-2.0
"""From features to verdicts. The rules stand in the order in which docs/design/0006-the-verdict.md explains them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth import steps
from heaptide.analysis.growth.features import Features, measure
from heaptide.analysis.growth.result import Judgement, Verdict
from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]

LEAST_SNAPSHOTS = 6
ALPHA = 1e-4
"""How improbable no growth must be before a site is accused."""
_STEP_GRAINS = 8.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a verdict depends on beside the site's own numbers."""

    sampled: bool
    floor: float
    """Bytes per second below which growth is of no interest."""


def decide(histories: Histories, times: Floats, setting: Setting) -> list[Judgement]:
    """One judgement for each row of `histories`, which hold the judged stretch alone.

    Args:
        histories: totals at each snapshot of the stretch.
        times: the snapshots in waking time, seconds, ascending; at least `LEAST_SNAPSHOTS`.
        setting: mode and floor of interest.
    """
    features = measure(histories, times, setting.sampled)
    evidence = {
        "p_half": features.half.below(0.0),
        "p_main": features.main.below(0.0),
        "p_third": features.third.below(0.0),
    }
    objects = histories.in_use_objects
    length = float(times[-1] - times[0])
    object_rate = (objects[:, -1] - objects[:, objects.shape[1] // 2]) / (length / 2)
    out = []
    for row in range(len(features.low)):
        facts = {name: float(column[row]) for name, column in evidence.items()}
        out.append(_judge(histories, features, row, facts, times, setting, float(object_rate[row])))
    return out


def _judge(
    histories: Histories,
    features: Features,
    row: int,
    facts: dict[str, float],
    times: Floats,
    setting: Setting,
    object_rate: float,
) -> Judgement:
    series = features.series[row]
    low, high, rate = float(features.low[row]), float(features.high[row]), float(features.half.rate[row])
    rose = steps.rises(series, _STEP_GRAINS * float(features.quantum[row]))
    strong = min(facts["p_half"], facts["p_main"]) < ALPHA
    verdict: Verdict
    if low > 0 and strong:
        freed = histories.free_bytes[row]
        turnover = (freed[-1] - freed[len(times) // 2]) / max(series[-1], 1.0)
        verdict, confidence, why = ("growing" if turnover > 0.5 else "leak"), 0.95, "its last half grew"
    elif high < setting.floor:
        verdict, confidence, why = "steady", 0.01, "no growth"
    else:
        verdict, confidence, why = "unsure", 0.05, "it may grow"
    objects = histories.in_use_objects[row]
    return Judgement(
        verdict=verdict,
        confidence=confidence,
        rate=rate,
        rate_low=low,
        rate_high=high,
        object_rate=object_rate,
        growth=float(series[-1] - series[0]),
        in_use=float(histories.in_use_bytes[row, -1]),
        detectable=max(high - rate, 0.0) * 2,
        why=why,
        steps=tuple(rise.index for rise in rose),
        step_bytes=tuple(rise.bytes for rise in rose),
        step_objects=tuple(float(objects[rise.index] - objects[rise.index - 1]) for rise in rose),
        evidence=facts,
    )
