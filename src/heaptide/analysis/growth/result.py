# SPDX-License-Identifier: Apache-2.0
"""What a verdict says: frozen values, complete enough that a renderer computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from heaptide.analysis.growth.limits import Limit
from heaptide.model import Frame

Verdict = Literal["leak", "growing", "filling", "cyclic", "steady", "unsure"]
"""Of one site; the definitions are those of docs/design/0006-the-verdict.md."""
Overall = Literal["leak", "growing", "steady", "unsure", "too-short"]
"""Of a recording: its worst site's. `filling` and `cyclic` count as steady."""
Kind = Literal["heap", "mmap"]

ACTING: frozenset[str] = frozenset({"leak", "growing"})
"""The verdicts that ask for action."""


@dataclass(frozen=True, slots=True)
class Step:
    """A sudden rise that was not given back."""

    t_s: float
    """Seconds since recording began: the first snapshot that shows it."""
    at_ns: int
    """The same as wall clock, nanoseconds since 1970."""
    bytes: float
    objects: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the numbers of one site say, without its name. Rates are per second of the program's waking time."""

    verdict: Verdict
    confidence: float
    """Probability that `leak` or `growing` is right, whatever the verdict."""
    rate: float
    rate_low: float
    rate_high: float
    """95 % interval of the rate over the last half, bytes."""
    object_rate: float
    growth: float
    """Bytes in use at the end less those at the beginning of the judged stretch."""
    in_use: float
    """Bytes in use at the end of the judged stretch."""
    detectable: float
    """A leak of this rate would have been called one, nineteen times in twenty. Bytes per second."""
    why: str
    """In words: what the verdict rests on."""
    steps: tuple[int, ...] = ()
    """Indices of the snapshots (of the judged stretch) that show a step first."""
    step_bytes: tuple[float, ...] = ()
    step_objects: tuple[float, ...] = ()
    bound: float | None = None
    """`filling`: the bytes that the fit tends to."""
    evidence: dict[str, float] = field(default_factory=dict)
    """The figures behind it, by name (see the design page), for tests and studies."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """One judged site, or a caller under which growth is spread."""

    rank: int
    kind: Kind
    process: int
    """Index into `Growth.captures`."""
    judgement: Judgement
    site: Frame | None
    """None where a stack has no frame at all."""
    stack: tuple[Frame, ...]
    """The heaviest stack of the growth, leaf first, without the frames below the site."""
    steps: tuple[Step, ...]
    share: float
    """Part of the growth of all acting suspects."""
    spark: tuple[float, ...]
    """Bytes in use at equally spaced moments of the whole recording."""
    stacks: int
    """How many stacks lie under it."""
    ages: tuple[float, ...] = ()
    """Of what is in use, the parts that were allocated in each quarter of the recording, as last read up to the end of
    the stretch (an estimate in exact mode too). Empty where nobody read it. A leak's survivors are of all ages."""
    telling: int = 0
    """So many frames of `stack`, from the site on, tell it from the stacks of every other judged site. 0 where it does
    not act."""
    limit_s: float | None = None
    """Seconds until the process's limit at this rate; None where it does not act, or no limit is known."""
    limit: Limit | None = None
    """The limit that is meant."""
    suppressed: str | None = None
    """The rule of the suppression file that names it."""
    parts: tuple[Suspect, ...] = ()
    """Growth that is spread: the sites beneath this caller."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The answer to: what grows?"""

    captures: tuple[str, ...]
    mode: Literal["sampled", "exact"]
    started_ns: int
    """When recording began, nanoseconds since 1970."""
    duration_s: float
    """Length of the judged stretch, seconds, time asleep left out."""
    snapshots: int
    verdict: Overall
    detectable: float | None
    """Bytes per second: a leak of this rate at any judged site would have shown. None when too short."""
    suspects: tuple[Suspect, ...]
    """Acting ones first, by the lower bound of their rate, descending; then by growth."""
    limit: Limit | None = None
    """What bounds the memory of the process: its control group's limit or the machine's memory, whichever leaves less
    room; of several processes that with least room."""
    asleep_s: float = 0.0
    """Time that the machine slept, left out of all rates."""
    reason: str = ""
    """Why it is too short."""

    @property
    def acting(self) -> tuple[Suspect, ...]:
        """The suspects that ask for action."""
        return tuple(
            suspect for suspect in self.suspects if suspect.judgement.verdict in ACTING and suspect.suppressed is None
        )
