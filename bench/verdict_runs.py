# SPDX-License-Identifier: Apache-2.0
"""Runs of the shapes of tests/programs/shapes: recorded in driven time, judged, and held against their own truth."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.injected import Injected
from heaptide import build as joining
from heaptide.analysis.growth import ACTING, Growth, Suspect, judge
from heaptide.symbolize import Symbolizer

ROOT = Path(__file__).resolve().parent.parent
SHAPES = ROOT / "tests" / "programs" / "shapes"
CACHE = ROOT / "build" / "programs"
# Functions that differ by their name alone must stay apart, and every call must leave its frame.
FLAGS = ("-std=gnu17", "-g", "-O2", "-pthread", "-Wall", "-Wextra", "-Werror")
APART = ("-fno-ipa-icf", "-fno-optimize-sibling-calls")

TRUTH = "truth.json"

Mode = Literal["exact", "sampled"]
MODES: tuple[Mode, ...] = ("exact", "sampled")


def build() -> Path:
    """Compile the shapes unless that has been done; the path of the program."""
    files = sorted(SHAPES.glob("*.c"))
    headers = [*SHAPES.glob("*.h"), ROOT / "native" / "recorder" / "clock.h"]
    words = [*shlex.split(os.environ.get("CC", "cc")), *FLAGS, *APART, f"-I{ROOT / 'native'}", *map(str, files), "-lm"]
    digest = hashlib.sha256(shlex.join(words).encode())
    for path in [*files, *sorted(headers)]:
        digest.update(path.read_bytes())
    output = CACHE / digest.hexdigest()[:16] / "shapes"
    if not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        fresh = output.with_name(f"shapes.{os.getpid()}")
        subprocess.run([*words, "-o", str(fresh)], check=True)
        fresh.rename(output)
    return output


def families(program: Path) -> dict[str, bool]:
    """Name of each family, and whether some site of it grows for good."""
    said = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return {name: kind == "leaks" for name, kind in (line.split() for line in said.splitlines())}


# ---- What is true ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrueSite:
    """A function of a shape, as the shape itself says."""

    function: str
    verdict: str
    bytes_per_hour: float
    """Mean rate over the last half, where there is one and it is constant; else 0."""
    allocated: float
    group: str | None
    """The caller that stands for it, where growth is spread over many."""
    curve: npt.NDArray[np.float64]
    """Bytes in use at equidistant moments from the start to the end."""


@dataclass(frozen=True)
class TrueStep:
    """A step that was not given back."""

    function: str
    t_s: float
    bytes: float


@dataclass(frozen=True)
class Truth:
    """What one run says of itself."""

    family: str
    seed: int
    pid: int
    duration_s: float
    step_s: float
    sites: tuple[TrueSite, ...]
    steps: tuple[TrueStep, ...]


def read_truth(line: bytes) -> Truth:
    """The line that a shape prints at its end."""
    said: dict[str, Any] = json.loads(line)
    sites = tuple(TrueSite(**{**site, "curve": np.array(site["curve"])}) for site in said.pop("sites"))
    return Truth(**{**said, "sites": sites, "steps": tuple(TrueStep(**step) for step in said.pop("steps"))})


# ---- Recording and judging -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One run to be made."""

    family: str
    seed: int
    mode: Mode
    kept_bytes: float = 0.0
    """What the leak keeps over the whole run; 0: drawn."""
    sample: str | None = None
    """A fixed sampling interval; None: the adaptive one."""

    @property
    def name(self) -> str:
        return f"{self.family}-{self.seed}-{self.mode}" + (f"-{self.kept_bytes:.0f}" if self.kept_bytes else "")


@dataclass(frozen=True)
class Outcome:
    """What became of one site (or, where growth is spread, of its caller)."""

    case: Case
    function: str
    true: str
    told: str
    """A verdict, or `absent`: the site was not judged."""
    confidence: float
    true_rate: float
    """Bytes per hour; 0: none that is constant."""
    rate: float
    rate_low: float
    rate_high: float
    why: str
    """The verdict's own words."""

    @property
    def acts(self) -> bool:
        """Whether it asks for action, rightly or wrongly."""
        return self.told in ACTING

    @property
    def grows(self) -> bool:
        """Whether it should."""
        return self.true in ACTING


@dataclass(frozen=True)
class StepOutcome:
    """Whether a true step was told, at the right time."""

    case: Case
    function: str
    late_s: float
    """The told time less the true one; nan: no step was told of this site."""
    allowed_s: float
    """The time between two snapshots there."""

    @property
    def right(self) -> bool:
        return -self.allowed_s <= self.late_s <= self.allowed_s


@dataclass(frozen=True)
class Judged:
    """All that one run gave."""

    case: Case
    outcomes: tuple[Outcome, ...]
    steps: tuple[StepOutcome, ...]
    truth: Truth

    @property
    def false_alarms(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.acts and not outcome.grows)


def record(program: Path, case: Case, folder: Path) -> tuple[list[Path], Truth]:
    """Run a case to its end: its captures (a forking shape has two) and its own account, all in `folder`."""
    environment = {"HEAPTIDE_SEED": str(case.seed + 1)}
    if case.mode == "exact":
        environment["HEAPTIDE_EXACT"] = "1"
    elif case.sample:
        environment["HEAPTIDE_SAMPLE"] = case.sample
    words = [str(program), case.family, str(case.seed)]
    with Injected(folder) as recorder:
        process = recorder.start([*words, f"{case.kept_bytes:.0f}"] if case.kept_bytes else words, env=environment)
        _, output = recorder.finish()
    if process.returncode != 0:
        raise RuntimeError(f"{case.name}: the shape ended with {process.returncode}")
    (folder / TRUTH).write_bytes(output)
    return recorded(folder)


def recorded(folder: Path) -> tuple[list[Path], Truth]:
    """What `record` left there."""
    return sorted(folder.glob("*.tide")), read_truth((folder / TRUTH).read_bytes())


@cache
def _symbolizer() -> Symbolizer:
    """One for all runs: they are of the same program."""
    return Symbolizer()


def run(program: Path, case: Case, keep: Path | None = None) -> Judged:
    """Record, judge and compare. With `keep`, what is recorded stays there, and is not recorded again next time."""
    if keep and (keep / case.name / TRUTH).exists():
        return compared(case, *recorded(keep / case.name))
    with TemporaryDirectory(prefix="heaptide-shapes-") as name:
        captures, truth = record(program, case, Path(name))
        if keep:
            shutil.copytree(name, keep / case.name, dirs_exist_ok=True)
        return compared(case, captures, truth)


def compared(case: Case, captures: Sequence[Path], truth: Truth) -> Judged:
    """Judge captures and hold the answers against the truth."""
    outcomes: list[Outcome] = []
    steps: list[StepOutcome] = []
    for path in captures:
        growth = judge(joining.load(path, symbolizer=_symbolizer()))
        sites = truth.sites if f".{truth.pid}." in path.name else ()
        outcomes += compare(case, growth, sites)
        steps += compare_steps(case, growth, truth) if sites else []
    return Judged(case, tuple(outcomes), tuple(steps), truth)


# ---- Comparing -------------------------------------------------------------------------------------------------------


def _flat(suspects: Sequence[Suspect]) -> Iterator[Suspect]:
    for suspect in suspects:
        yield suspect
        yield from _flat(suspect.parts)


def _by_function(growth: Growth) -> dict[str, list[Suspect]]:
    found: dict[str, list[Suspect]] = {}
    for suspect in _flat(growth.suspects):
        name = (suspect.site.function if suspect.site else None) or "?"
        found.setdefault(name, []).append(suspect)
    return found


def _worst(suspects: Sequence[Suspect]) -> Suspect | None:
    """The one that speaks for a function: lines of it may be judged apart."""
    return max(suspects, key=lambda s: (s.judgement.verdict in ACTING, s.judgement.confidence), default=None)


def _outcome(case: Case, site: TrueSite, suspect: Suspect | None) -> Outcome:
    if suspect is None:
        return Outcome(case, site.function, site.verdict, "absent", 0, site.bytes_per_hour, 0, 0, 0, "")
    told = suspect.judgement
    rates = (told.rate * 3600, told.rate_low * 3600, told.rate_high * 3600)
    fixed = (site.function, site.verdict, told.verdict, told.confidence, site.bytes_per_hour)
    return Outcome(case, *fixed, *rates, told.why)


def _grouped(
    sites: Sequence[TrueSite], found: Mapping[str, list[Suspect]]
) -> Iterator[tuple[TrueSite, Suspect | None]]:
    """Each group of sites as one, under its caller: found where that is named, or half of them are."""
    for name in sorted({site.group for site in sites if site.group}):
        parts = [site for site in sites if site.group == name]
        curve = np.sum([part.curve for part in parts], axis=0)
        rate, allocated = (
            sum(values) for values in zip(*((p.bytes_per_hour, p.allocated) for p in parts), strict=True)
        )
        named = _worst(found.get(name, []))
        told = [suspect for part in parts if (suspect := _worst(found.get(part.function, [])))]
        acting = [suspect for suspect in told if suspect.judgement.verdict in ACTING]
        if named is None and len(acting) >= len(parts) / 2:
            named = acting[0]
            rate = 0.0  # no single rate was told
        yield TrueSite(name, parts[0].verdict, rate, allocated, None, curve), named


def compare(case: Case, growth: Growth, sites: Sequence[TrueSite]) -> list[Outcome]:
    """One outcome for each true site, and for each site that was judged and of which the shape knows nothing."""
    found = _by_function(growth)
    alone = [site for site in sites if not site.group]
    outcomes = [_outcome(case, site, _worst(found.get(site.function, []))) for site in alone]
    outcomes += [_outcome(case, site, suspect) for site, suspect in _grouped(sites, found)]
    known = {site.function for site in sites} | {site.group for site in sites}
    nothing = np.zeros(2)
    for name, suspects in found.items():
        if name not in known:
            outcomes.append(_outcome(case, TrueSite(name, "steady", 0, 0, None, nothing), _worst(suspects)))
    return outcomes


def compare_steps(case: Case, growth: Growth, truth: Truth) -> list[StepOutcome]:
    """The nearest told step of the right site, for each true one that a verdict is to name."""
    found = _by_function(growth)
    allowed = max(truth.step_s, 10.0) * 1.02 + 1.0  # the clock goes on in real time, a second at the very most
    outcomes = []
    for step in truth.steps:
        told = [one.t_s - step.t_s for suspect in found.get(step.function, []) for one in suspect.steps]
        outcomes.append(StepOutcome(case, step.function, min(told, key=abs, default=float("nan")), allowed))
    return outcomes
