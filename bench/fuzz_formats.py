# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.fuzz_formats [--runs N] [READER...]`: every reader of foreign files under atheris, N inputs each.

Needs `pip install atheris`. Inputs that teach something new are kept in bench/out/fuzz/READER, and the next run begins
with them; an input that breaks a reader, takes 10 s or 2 GiB is kept there as crash-, timeout- or oom-SHA, and the exit
status is 1. What each run did is added to bench/out/fuzz/log.tsv: date, reader, executions, seconds, coverage, status.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz import readers

FOLDER = Path(__file__).parent / "out" / "fuzz"
_LIMITS = ("-max_len=700", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-reload=0")


def fuzz(reader: str, runs: int, seed: int) -> tuple[int, float, int, int]:
    """Executions, seconds, libFuzzer's coverage count, exit status."""
    corpus = FOLDER / reader
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.with_atheris", reader, f"-runs={runs}", f"-seed={seed}", *_LIMITS]
    command += [f"-artifact_prefix={FOLDER}/{reader}-", str(corpus), str(readers.CORPUS)]
    begun = time.monotonic()
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    took = time.monotonic() - begun
    text = run.stdout.decode("utf-8", "replace")
    if run.returncode:
        print(text[-4000:], flush=True)
    done = [int(number) for number in re.findall(r"(?:executed_units:\s*|^#)(\d+)", text, re.MULTILINE)]
    coverage = [int(number) for number in re.findall(r"cov: (\d+)", text)]
    return max(done, default=0), took, max(coverage, default=0), run.returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.fuzz_formats")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs for each reader")
    parser.add_argument("--seed", type=int, default=int(time.time()) & 0xFFFFFFF)
    parser.add_argument("reader", nargs="*", default=list(readers.TARGETS_TO_READ))
    chosen = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    failed = False
    for reader in chosen.reader:
        executions, seconds, coverage, status = fuzz(reader, chosen.runs, chosen.seed)
        failed |= status != 0
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        row = f"{now}\t{reader}\t{executions}\t{seconds:.0f}\t{coverage}\t{status}"
        print(row, flush=True)
        with open(FOLDER / "log.tsv", "a") as log:
            log.write(row + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
