# SPDX-License-Identifier: Apache-2.0
"""`python -m fuzz [--seconds N] [--seed S] [TARGET...]`: damages inputs of each reader until the time is over.

A target is a module of this folder with `seeds() -> list[bytes]`, `mutate(data, rng) -> bytes` and `run(data)`. `run`
may raise InputError and nothing else; an input may take 10 s at most, and all of it fits into 2 GiB. What breaks that
is kept in fuzz/found/ (not in git), and its name is printed with the exception.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import pkgutil
import random
import resource
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType

from heaptide._errors import InputError

FOLDER = Path(__file__).parent
SLOW_SECONDS = 10.0
MEMORY_BYTES = 2 << 30


def targets() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]) if module.name.startswith("target_"))


def keep(name: str, data: bytes, why: str) -> None:
    folder = FOLDER / "found"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"{path}: {why}", flush=True)


def try_one(name: str, target: ModuleType, data: bytes) -> bool:
    """Runs one input; whether it was harmless."""
    begun = time.monotonic()
    try:
        target.run(data)
    except InputError:
        pass
    except Exception:  # whatever it is, it is what we look for
        keep(name, data, traceback.format_exc())
        return False
    took = time.monotonic() - begun
    if took > SLOW_SECONDS:
        keep(name, data, f"took {took:.1f} s")
    return took <= SLOW_SECONDS


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Fuzzes one target; how many inputs broke it."""
    target = importlib.import_module(f"fuzz.{name}")
    rng = random.Random(seed)
    corpus = target.seeds()
    tried, broken = 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and broken < 20:
        broken += not try_one(name, target, target.mutate(rng.choice(corpus), rng))
        tried += 1
    print(f"{name}: {tried} inputs in {seconds:.0f} s from seed {seed}, {broken} broke it", flush=True)
    return broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description="Damages inputs of each reader until the time is over.")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("target", nargs="*", default=targets(), help=", ".join(targets()))
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    return 1 if sum(fuzz(name, chosen.seconds, chosen.seed) for name in chosen.target) else 0


if __name__ == "__main__":
    sys.exit(main())
