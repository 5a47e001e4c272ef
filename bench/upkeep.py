# SPDX-License-Identifier: Apache-2.0
"""Rows: what heaptide costs besides: start and exit, memory, bytes written, the recorder's CPU, stalls by snapshots."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from bench.figures import Line, Row, added, medians
from bench.running import Bench, run, started
from heaptide import capture
from heaptide.capture.records import AgentRecord

MIB = 1 << 20
STACKS = 131_072
OURS = ("plain", "dormant", "sampled", "exact")


# ---- Start and exit --------------------------------------------------------------------------------------------------

TRUE_RUNS = 25


def true_rounds(bench: Bench) -> int:
    return bench.choose(1, 20, 40)


def start_and_exit(bench: Bench) -> Iterator[Line | None]:
    """CPU of /bin/true, 25 in a row in each form, in turn, 20 times; what the loader does for the agent is in it."""
    runs = bench.choose(3, TRUE_RUNS, TRUE_RUNS)
    values: dict[str, list[float]] = {}
    for _ in range(true_rounds(bench)):
        for form in bench.some_forms("forwarding", *OURS):
            cost = run(bench, form, ["/bin/true"], runs=runs)
            values.setdefault(form.name, []).append(1e3 * cost.cpu_s / runs)
            yield None
    yield Line(f"start and exit, CPU of /bin/true ({true_rounds(bench) * runs} runs)", "ms", added(values, 2))


# ---- Memory and bytes ------------------------------------------------------------------------------------------------


def resident(bench: Bench) -> Iterator[Line | None]:
    """Resident memory with many threads, and with a large heap that is mostly not touched."""
    threads, gib = bench.choose(20, 500, 500), bench.choose(1, 200, 200)
    for what, crowd in ((f"{threads} threads", (threads, 0)), (f"a heap of {gib} GiB", (1, gib))):
        values: dict[str, list[float]] = {}
        for form in bench.some_forms(*OURS):
            output = run(bench, form, [bench.program("crowd"), *map(str, crowd)]).output
            values.setdefault(form.name, []).append(int(output) / 1024)
            yield None
        cells = {form: f"{those[0] - values['plain'][0]:+.2f}" for form, those in values.items()}
        yield Line(f"memory in the target, {what}", "MiB", {**cells, "plain": f"{values['plain'][0]:.2f}"})


def written(bench: Bench) -> Iterator[Line | None]:
    """Peak memory and bytes on disk of one run of churn, each tool writing as it would."""
    pairs = bench.choose(2_000, 200_000, 1_000_000)
    peaks: dict[str, list[float]] = {}
    sizes: dict[str, list[float]] = {}
    forms = bench.some_forms(*OURS, "heaptrack", "gperftools", "jemalloc")
    for form in forms:
        command = [bench.program("churn"), "1", str(pairs), "20", "10000"]
        cost = run(bench, form, command, variables=form.to_disk)
        peaks.setdefault(form.name, []).append(cost.peak_bytes / MIB)
        sizes.setdefault(form.name, []).append(cost.written_bytes / 1024)
        yield None
    what = f"churn, 1 thread, depth 20, 10k live, {pairs:,} pairs"
    yield Line(f"{what}: peak memory", "MiB", medians(peaks))
    yield Line(f"{what}: bytes written", "KiB", medians(sizes))


# ---- The recorder and its snapshots ----------------------------------------------------------------------------------


def stall_command(bench: Bench, seconds: int, mebibytes: int, pause_us: int) -> list[str]:
    stacks = bench.choose(1024, STACKS, STACKS)
    return [bench.program("stalls"), *map(str, (seconds, stacks, mebibytes, pause_us))]


def recorder_cpu(bench: Bench) -> Iterator[Line | None]:
    """Per cent of a core over whole intervals between snapshots; the program visits all its stacks in each of them."""
    every, periods = bench.choose(1, 10, 10), bench.choose(1, 1, 20)
    command = stall_command(bench, every * (1 + periods) + 1, 0, 1000)
    cells: dict[str, str] = {}
    stacks: dict[str, str] = {}
    for form in bench.some_forms("sampled", "exact"):
        with started(bench, form, command, record=[f"--every={every}s"]) as running:
            time.sleep(1.1 * every)
            before = running.recorder_cpu_s()
            time.sleep(periods * every)
            share = (running.recorder_cpu_s() - before) / (periods * every)
            running.finish()
            [path] = running.folder.glob("*.tide")
            records = capture.read(path.read_bytes()).records
        cells[form.name] = f"{100 * share:.3f}"
        stacks[form.name] = str(max(r.stacks for r in records if isinstance(r, AgentRecord)))
        yield None
    yield Line(f"the recorder's CPU, a snapshot each {every} s", "% of a core", cells)
    yield Line("... at so many distinct stacks, all in motion", "1", stacks)


def stalls(bench: Bench) -> Iterator[Line | None]:
    """The longest that malloc and free, and mmap and munmap, took: alone, recorded, and recorded with snapshots."""
    seconds = bench.choose(1, 8, 60)
    mebibytes = bench.choose(1, min(4096, memory_mebibytes() // 4), 4096)
    command = stall_command(bench, seconds, mebibytes, 0)
    found: dict[str, dict[str, str]] = {}
    for form in bench.some_forms("plain", "exact"):
        for every in ("1h", "1s") if form.recorder is not None else ("",):
            output = run(bench, form, command, record=[f"--every={every}"]).output
            for line in output.splitlines():
                name, median, longest = line.split()
                suffix = {"1s": ", a snapshot each second"}.get(every, ", no snapshots")
                found.setdefault(name + suffix, {})[form.name] = f"{median} ({longest})"
                if form.name == "plain":
                    found.setdefault(f"{name}, a snapshot each second", {})["plain"] = f"{median} ({longest})"
            yield None
    for name in sorted(found):
        what = f"longest stall of a second, {mebibytes} MiB resident: {name}"
        yield Line(what, "us: median (longest)", found[name])


def memory_mebibytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB


def rows() -> list[Row]:
    """In the table's order."""
    return [
        Row("start-exit", lambda b: true_rounds(b) * len(b.some_forms("forwarding", *OURS)), start_and_exit),
        Row("memory", lambda b: 2 * len(b.some_forms(*OURS)), resident),
        Row("written", lambda b: len(b.some_forms(*OURS, "heaptrack", "gperftools", "jemalloc")), written),
        Row("recorder", lambda b: len(b.some_forms("sampled", "exact")), recorder_cpu),
        Row("stalls", lambda b: 3, stalls),
    ]
