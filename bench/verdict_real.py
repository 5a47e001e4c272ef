# SPDX-License-Identifier: Apache-2.0
"""Leaks of released software: found in the version that leaks, no alarm in the one that does not.

    python -m bench.verdict_real                    20 s each, as they are meant to be run (5 minutes)
    python -m bench.verdict_real --seconds 5 --exact

The triggers lie in ../shared/known-leaks, beside the repository; pip fetches the wheels. Python's run under
PYTHONMALLOC=malloc and under its default allocator.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.verdict_runs import ROOT
from heaptide import build
from heaptide.analysis.growth import Growth, Suspect, judge

TRIGGERS = ROOT.parent / "shared" / "known-leaks"
JQ_ITEMS_A_SECOND = 20000  # 400,000 over 20 s


@dataclass(frozen=True)
class Leak:
    """One known leak, in a version of its software that has it and in one that has not."""

    name: str
    trigger: str
    leaks: str
    flat: str
    """Versions of the package; for jq, words of its trigger."""
    is_here: Callable[[Suspect], bool]
    """Whether a suspect names the right place."""
    python: bool = True


def _function(suspect: Suspect) -> str:
    return (suspect.site.function if suspect.site else None) or ""


def _in_hiredis(suspect: Suspect) -> bool:
    file = suspect.site.file if suspect.site else None
    return _function(suspect) == "createDecodedString" and (file or "").endswith("reader.c")


def _in_ujson(suspect: Suspect) -> bool:
    """The wheel is stripped: the module is what there is to be named."""
    return "ujson" in ((suspect.site.module if suspect.site else None) or "")


def _in_jq(suspect: Suspect) -> bool:
    """A static builtin without a symbol makes an error value; two functions with one are in it."""
    made = {"jv_string_sized", "jv_invalid_with_msg"}
    return bool(made & {frame.function for frame in suspect.stack}) or _function(suspect) in made


LEAKS = (
    Leak("hiredis", "hiredis_resp3_map.py", "3.1.0", "3.1.1", _in_hiredis),
    Leak("ujson", "ujson_bigint.py", "5.10.0", "5.12.0", _in_ujson),
    Leak("jq", "jq16_trimstr.sh", "leak", "control", _in_jq, python=False),
)


def install(package: str, version: str, folder: Path) -> Path:
    """A wheel of PyPI in a folder of its own.

    Raises:
        RuntimeError: pip cannot; its own words.
    """
    target = folder / f"{package}-{version}"
    if not target.exists():
        words = ["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(target)]
        command = [sys.executable, "-m", "pip", *words, f"{package}=={version}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"pip cannot install {package} {version}: {done.stderr[-200:]}")
    return target


@dataclass(frozen=True)
class Trial:
    """One run of a trigger."""

    leak: Leak
    version: str
    allocator: str
    """Of Python: `malloc` or `default`."""
    seconds: float
    exact: bool = False

    @property
    def should_act(self) -> bool:
        return self.version == self.leak.leaks

    @property
    def name(self) -> str:
        allocator = f" PYTHONMALLOC={self.allocator}" if self.leak.python else ""
        return f"{self.leak.name} {self.version}{allocator}{' exact' if self.exact else ''}"


def trials(seconds: float, *, exact: bool = False) -> Iterator[Trial]:
    """Leaking and flat, under each allocator."""
    for leak in LEAKS:
        for version in (leak.leaks, leak.flat):
            for allocator in ("malloc", "default") if leak.python else ("default",):
                yield Trial(leak, version, allocator, seconds, exact)


def record(trial: Trial, packages: Path, folder: Path) -> Growth:
    """Run a trigger under `heaptide run` and judge what it left."""
    output = folder / "trial.tide"
    ours = [sys.executable, "-m", "heaptide", "run", *(["--exact"] if trial.exact else []), "-o", str(output), "--"]
    script, environment = str(TRIGGERS / trial.leak.trigger), dict(os.environ)
    if trial.leak.python:
        package = install(trial.leak.name, trial.version, packages)
        inner = [f"PYTHONPATH={package}", f"RSS_SECONDS={trial.seconds:g}", f"PYTHONMALLOC={trial.allocator}"]
        command = [*ours, "env", *inner, sys.executable, script]
    else:
        environment["RUN"] = " ".join(ours)
        command = ["sh", script, trial.version, f"{trial.seconds * JQ_ITEMS_A_SECOND:.0f}", "0.05"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if not output.exists():
        raise RuntimeError(f"{trial.name}: nothing was recorded: {done.stderr[-500:]}")
    return judge(build.load(output))


def is_right(trial: Trial, growth: Growth) -> bool:
    """Found at the right place and nowhere else; in the flat version, nothing."""
    if not trial.should_act:
        return not growth.acting
    return bool(growth.acting) and trial.leak.is_here(growth.acting[0])


def describe(trial: Trial, growth: Growth) -> str:
    """One line for a trial, and one for each acting suspect."""
    lines = [f"{'right' if is_right(trial, growth) else 'WRONG':6} {trial.name}: {growth.verdict}"]
    for suspect in growth.acting:
        told, site = suspect.judgement, suspect.site
        where = f"{site.function or site.unresolved}, {site.file or site.module}:{site.line}" if site else "no frame"
        rate, low, high = (value / 1e3 for value in (told.rate, told.rate_low, told.rate_high))
        said = f"{told.verdict} ({told.confidence:.3f}) {rate:.0f} kB/s ({low:.0f} to {high:.0f})"
        lines.append(f"       {said}: {where}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all trials; exit status 1 when one is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdict_real", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--jobs", type=int, default=3, help="at a time; a trigger sleeps most of its time (3)")
    options = parser.parse_args(arguments)
    planned = list(trials(options.seconds, exact=options.exact))
    with TemporaryDirectory(prefix="heaptide-real-") as name:
        folders = [Path(name) / str(number) for number in range(len(planned))]
        for folder, trial in zip(folders, planned, strict=True):
            folder.mkdir()
            if trial.leak.python:
                install(trial.leak.name, trial.version, Path(name))
        with ThreadPoolExecutor(options.jobs) as pool:
            answers = list(pool.map(lambda one: record(one[0], Path(name), one[1]), zip(planned, folders, strict=True)))
    for trial, growth in zip(planned, answers, strict=True):
        print(describe(trial, growth))
    return 0 if all(map(is_right, planned, answers)) else 1


if __name__ == "__main__":
    sys.exit(main())
