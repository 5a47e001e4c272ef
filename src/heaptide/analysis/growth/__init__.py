# SPDX-License-Identifier: Apache-2.0
"""The verdict: what grows, how fast, how surely, where. docs/design/0006-the-verdict.md explains the method."""

from heaptide.analysis.growth.compare import Comparison, Pair, Side, compare
from heaptide.analysis.growth.judge import judge
from heaptide.analysis.growth.result import ACTING, Growth, Judgement, Step, Suspect

__all__ = [
    "ACTING",
    "Comparison",
    "Growth",
    "Judgement",
    "Pair",
    "Side",
    "Step",
    "Suspect",
    "compare",
    "judge",
]
