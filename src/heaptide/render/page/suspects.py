# SPDX-License-Identifier: Apache-2.0
"""Suspects for the page, in the words of `heaptide growth`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from heaptide.analysis.growth import ACTING, Growth, Suspect
from heaptide.model import Frame
from heaptide.render import growth as words
from heaptide.render import names, pace, units
from heaptide.render.page.excerpts import Excerpts
from heaptide.render.page.texts import Strings, clean, shortened

ACTING_SHOWN, QUIET_SHOWN = 100, 40
"""So many suspects are told, those that grow fastest; and so many sites that need no action, those that grew most."""
_PARTS, _FRAMES = 30, 64
_LONGEST = 400
"""Characters of a frame in a stack."""


def suspects(growth: Growth, strings: Strings, excerpts: Excerpts) -> list[dict[str, object]]:
    """All that act, in their order, and the largest of the others."""
    return [_suspect(suspect, strings, excerpts) for suspect in shown(growth)]


def shown(growth: Growth) -> Sequence[Suspect]:
    """The suspects that a page tells."""
    acting = growth.acting
    ranks = {suspect.rank for suspect in acting}
    quiet = (suspect for suspect in growth.suspects if suspect.rank not in ranks)
    return [*acting[:ACTING_SHOWN], *islice(quiet, QUIET_SHOWN)]


def _suspect(suspect: Suspect, strings: Strings, excerpts: Excerpts) -> dict[str, object]:
    judgement, site = suspect.judgement, suspect.site
    function = site.function if site is not None else None
    return {
        "rank": suspect.rank,
        "kind": suspect.kind,
        "verdict": judgement.verdict,
        "acts": judgement.verdict in ACTING and suspect.suppressed is None,
        "confidence": judgement.confidence,
        "confidence_text": pace.sureness(judgement.confidence),
        "rate": judgement.rate,
        "low": judgement.rate_low,
        "high": judgement.rate_high,
        "rate_text": pace.rate(judgement.rate),
        "interval_text": f"95 %: {pace.rate(judgement.rate_low)} to {pace.rate(judgement.rate_high)}",
        "share_text": f"{units.percent(suspect.share, 1.0)} of the growth" if suspect.share else "",
        "growth_text": f"{units.size(judgement.growth, signed=True)}, {units.size(judgement.in_use)} in use at the end",
        "limit_text": words.until_limit(suspect),
        "why": clean(words.why(suspect)),
        "steps": [f"{units.size(step.bytes, signed=True)} at {words.when(step)}" for step in suspect.steps],
        "step_s": [step.t_s for step in suspect.steps],
        "spark": [round(size) for size in suspect.spark],
        "site": _site(site),
        "place_text": clean(words.site_name(suspect)),
        "stack": [_frame(frame) for frame in suspect.stack[:_FRAMES]],
        "source": excerpts.at(site),
        "ages": list(suspect.ages),
        "suppressed": None if suspect.suppressed is None else clean(suspect.suppressed),
        "parts": [_suspect(part, strings, excerpts) for part in suspect.parts[:_PARTS]],
        "places": [] if function is None else [strings.index(function)],
    }


def _site(site: Frame | None) -> dict[str, object]:
    if site is None:
        return {"function": None, "file": None, "line": None, "module": None}
    texts = {"function": site.function, "file": site.file, "module": site.module}
    cleaned = {name: None if text is None else clean(text) for name, text in texts.items()}
    return {**cleaned, "line": site.line}


def _frame(frame: Frame) -> str:
    name, where = names.frame_name(frame)
    return clean(shortened(f"{name}  {where}" if where else name, _LONGEST))
