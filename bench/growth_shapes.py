# SPDX-License-Identifier: Apache-2.0
"""Programs that exist only as numbers: blocks with a birth, a death and a size, counted as a recording counts them.

What real programs show through the real recorder is proved by `bench.verdict`. This is for tuning and for studies that
need thousands of runs: the same families of shapes, in milliseconds. Each shape draws its rate, period, noise, warm-up
and load over a decade, gives the blocks of one site, and says what is true of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Blocks:
    """Every block of a site: seconds of birth and death (inf: never), bytes."""

    born: Floats
    died: Floats
    size: Floats

    def __add__(self, other: Blocks) -> Blocks:
        return Blocks(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in ("born", "died", "size")))


@dataclass(frozen=True)
class Site:
    """One site's blocks, and the truth about it."""

    blocks: Blocks
    truth: str
    """`leak`, `growing`, or what a quiet site is: `steady`, `filling`, `cyclic`."""
    rate: float = 0.0
    """Bytes per second that the law keeps in the mean over the last half; 0 where the truth is not a rate."""


def log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def arrivals(rng: Rng, count: float, length: float, load: Callable[[Floats], Floats] | None = None) -> Floats:
    """A Poisson process of `count` events in the mean; `load` (0..1) thins it."""
    times = np.sort(rng.uniform(0, length, rng.poisson(count)))
    if load is not None:
        times = times[rng.uniform(size=len(times)) < load(times)]
    return times


def sizes(rng: Rng, count: int, mean: float) -> Floats:
    """Block sizes of one site: of one size, or log-normal about it."""
    if rng.uniform() < 0.5:
        return np.full(count, np.ceil(mean))
    return np.ceil(mean * rng.lognormal(-0.18, 0.6, count))


def lifetimes(rng: Rng, count: int, mean: float) -> Floats:
    kind = rng.integers(4)
    if kind == 0:
        return np.full(count, mean)
    if kind == 1:
        return rng.uniform(0, 2 * mean, count)
    if kind == 2:
        return mean * rng.lognormal(-0.5, 1.0, count)
    return rng.exponential(mean, count)


def churn(rng: Rng, length: float, load: Callable[[Floats], Floats] | None = None, life: float | None = None) -> Blocks:
    born = arrivals(rng, log_uniform(rng, 1e3, 1e5), length, load)
    life = length * log_uniform(rng, 1e-4, 5e-2) if life is None else life
    return Blocks(born, born + lifetimes(rng, len(born), life), sizes(rng, len(born), log_uniform(rng, 30, 30000)))


def kept(rng: Rng, length: float, count: float, size: float, load: Callable[[Floats], Floats] | None = None) -> Blocks:
    born = arrivals(rng, count, length, load)
    return Blocks(born, np.full(len(born), np.inf), sizes(rng, len(born), size))


# ---- Quiet shapes ----------------------------------------------------------------------------------------------------


def steady(rng: Rng, length: float) -> Site:
    return Site(churn(rng, length), "steady")


def constant(rng: Rng, length: float) -> Site:
    """All at the start, nothing after."""
    born = rng.uniform(0, 0.02 * length, rng.integers(1, 1000))
    return Site(Blocks(born, np.full(len(born), np.inf), sizes(rng, len(born), log_uniform(rng, 30, 1e5))), "steady")


def warm_up(rng: Rng, length: float) -> Site:
    """Kept things that come ever more rarely, then churn."""
    end = length * log_uniform(rng, 0.03, 0.3)
    count = log_uniform(rng, 100, 1e4)
    born = (
        rng.uniform(0, end, rng.poisson(count)) if rng.uniform() < 0.5 else rng.exponential(end / 4, rng.poisson(count))
    )
    size = log_uniform(rng, 30, 30000)
    first = Blocks(born, np.full(len(born), np.inf), sizes(rng, len(born), size))
    return Site(first + churn(rng, length), "filling")


def cache_turning_over(rng: Rng, length: float) -> Site:
    """Fills at a steady rate, then each new entry evicts the oldest."""
    count = int(log_uniform(rng, 2e3, 5e4))
    born = arrivals(rng, count, length)
    full = max(5, int(len(born) * rng.uniform(0.05, 0.5)))
    died = np.concatenate([born[full:], np.full(full, np.inf)])
    if rng.uniform() < 0.5:  # a random victim
        died = _random_victims(rng, born, full)
    return Site(Blocks(born, died, sizes(rng, len(born), log_uniform(rng, 30, 30000))), "filling")


def _random_victims(rng: Rng, born: Floats, full: int) -> Floats:
    died = np.full(len(born), np.inf)
    slots = list(range(full))
    for index in range(full, len(born)):
        slot = int(rng.integers(full))
        died[slots[slot]] = born[index]
        slots[slot] = index
    return died


def slow_cache(rng: Rng, length: float) -> Site:
    """Random keys of a bounded set: the more are there, the fewer come. Not yet full."""
    keys = log_uniform(rng, 1e3, 3e4)
    memory = length * rng.uniform(0.15, 0.45)
    born = rng.exponential(memory, int(keys))
    born = np.sort(born[born < length])
    return Site(Blocks(born, np.full(len(born), np.inf), sizes(rng, len(born), log_uniform(rng, 30, 30000))), "filling")


def sawtooth(rng: Rng, length: float, period: float | None = None) -> Site:
    """Garbage: freed all at once at each collection, but for what is live."""
    period = length * log_uniform(rng, 0.01, 0.3) if period is None else period
    born = arrivals(rng, log_uniform(rng, 3e3, 1e5), length)
    phase = rng.uniform(0, period)
    ends = np.arange(phase, length + 3 * period, period)
    ends = np.sort(ends + rng.uniform(0, 0.1) * period * rng.uniform(-1, 1, len(ends)))
    died = ends[np.searchsorted(ends, born, side="right")]
    return Site(Blocks(born, died, sizes(rng, len(born), log_uniform(rng, 30, 30000))), "cyclic")


def sawtooth_near_snapshots(rng: Rng, length: float) -> Site:
    step = min(max(0.25, length / 40), 10.0)
    return sawtooth(rng, length, step * rng.uniform(0.7, 1.4))


def sawtooth_near_run(rng: Rng, length: float) -> Site:
    return sawtooth(rng, length, length * rng.uniform(0.3, 0.75))


def waves(rng: Rng, length: float, low: float = 0.02, high: float = 0.4) -> Site:
    """Load that comes and goes."""
    period, phase, depth = length * log_uniform(rng, low, high), rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1)
    return Site(
        churn(rng, length, lambda t: 1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * t / period + phase))), "cyclic"
    )


def waves_near_run(rng: Rng, length: float) -> Site:
    return waves(rng, length, 0.4, 1.3)


def load_doubles(rng: Rng, length: float) -> Site:
    at = length * rng.uniform(0.4, 0.6)
    return Site(churn(rng, length, lambda t: np.where(t < at, 0.5, 1.0)), "steady")


def load_wanders(rng: Rng, length: float) -> Site:
    """A slow random load."""
    knots = int(rng.integers(6, 40))
    values = np.empty(knots)
    values[0], memory = 0.0, rng.uniform(0.3, 0.9)
    for index in range(1, knots):
        values[index] = memory * values[index - 1] + rng.normal() * np.sqrt(1 - memory**2)
    level = np.clip(0.5 + 0.2 * values, 0.02, 1)
    return Site(churn(rng, length, lambda t: np.interp(t, np.linspace(0, length, knots), level)), "steady")


def bursts(rng: Rng, length: float) -> Site:
    """On and off."""
    edges = np.cumsum(rng.exponential(length * log_uniform(rng, 0.01, 0.1), 400))
    return Site(churn(rng, length, lambda t: np.where(np.searchsorted(edges, t) % 2 == 0, 1.0, 0.05)), "cyclic")


def backlog(rng: Rng, length: float) -> Site:
    """A queue that grows while work comes faster than it is done, and drains."""
    count = int(log_uniform(rng, 3e3, 3e4))
    born = np.sort(
        np.concatenate(
            [
                arrivals(rng, count, length),
                rng.uniform(0.2, rng.uniform(0.35, 0.5), int(count * rng.uniform(0.1, 0.4))) * length,
            ]
        )
    )
    pace = length / count * rng.uniform(0.6, 0.85)
    died = np.maximum.accumulate(born - np.arange(len(born)) * pace) + (np.arange(len(born)) + 1) * pace
    return Site(Blocks(born, died, sizes(rng, len(born), log_uniform(rng, 30, 30000))), "cyclic")


def pool(rng: Rng, length: float) -> Site:
    """Chunks that are never given back: as many as the largest need so far."""
    need = np.convolve(rng.normal(size=2400), np.exp(-np.arange(400) / log_uniform(rng, 3, 100)))[400:2400]
    level = np.maximum(0, 30 * (1 + 0.15 * need / need.std()))
    peak = np.maximum.accumulate(np.ceil(level))
    born = np.repeat(np.linspace(0, length, 2000), np.diff(peak, prepend=0).astype(int))
    return Site(Blocks(born, np.full(len(born), np.inf), np.full(len(born), log_uniform(rng, 1e4, 1e6))), "filling")


def outlier(rng: Rng, length: float) -> Site:
    """One large buffer, late and short, beside churn."""
    base = churn(rng, length)
    at = length * rng.uniform(0.5, 0.97)
    size = base.size.sum() * log_uniform(rng, 0.01, 1)
    spike = Blocks(np.array([at]), np.array([at + length * log_uniform(rng, 1e-4, 2e-2)]), np.array([np.ceil(size)]))
    return Site(base + spike, "steady")


def nothing(rng: Rng, length: float) -> Site:
    born = arrivals(rng, rng.uniform(1, 30), length)
    return Site(Blocks(born, born + rng.exponential(length / 20, len(born)), sizes(rng, len(born), 100)), "steady")


# ---- Shapes that grow ------------------------------------------------------------------------------------------------


def plain_leak(rng: Rng, length: float) -> Site:
    count, size = log_uniform(rng, 40, 4e4), log_uniform(rng, 30, 30000)
    blocks = kept(rng, length, count, size)
    return Site(blocks, "leak", count * _mean(blocks, size) / length)


def _mean(blocks: Blocks, size: float) -> float:
    """The mean of the law that `sizes` drew from."""
    one = len(blocks.size) == 0 or float(np.ptp(blocks.size)) == 0
    return float(np.ceil(size)) if one else size + 0.5


def leak_under_churn(rng: Rng, length: float) -> Site:
    """A part of what is allocated is forgotten."""
    base = churn(rng, length)
    part = log_uniform(rng, 0.01, 0.3)
    count = part * len(base.born)
    blocks = kept(rng, length, count, float(base.size.mean()))
    return Site(base + blocks, "leak", count * _mean(blocks, float(base.size.mean())) / length)


def leak_in_waves(rng: Rng, length: float) -> Site:
    period, phase = length * log_uniform(rng, 0.02, 0.2), rng.uniform(0, 2 * np.pi)
    count, size = log_uniform(rng, 100, 4e4), log_uniform(rng, 30, 30000)
    blocks = kept(rng, length, count, size, lambda t: 0.5 + 0.5 * np.sin(2 * np.pi * t / period + phase))
    return Site(blocks, "leak", count * _mean(blocks, size) / length / 2)


def leak_after_warm_up(rng: Rng, length: float) -> Site:
    warm, leak = warm_up(rng, length), plain_leak(rng, length)
    return Site(warm.blocks + leak.blocks, "leak", leak.rate)


def regular_leak(rng: Rng, length: float) -> Site:
    """One block at each turn, like clockwork."""
    count = int(log_uniform(rng, 40, 1e4))
    born = (np.arange(count) + rng.uniform()) * length / count
    size = np.ceil(log_uniform(rng, 30, 30000))
    return Site(Blocks(born, np.full(count, np.inf), np.full(count, size)), "leak", count * size / length)


def many_steps(rng: Rng, length: float) -> Site:
    count = int(rng.integers(5, 30))
    at = np.sort(rng.uniform(0, length, rng.poisson(count) + 3))
    blocks, size = int(rng.integers(50, 500)), log_uniform(rng, 100, 10000)
    born = np.repeat(at, blocks)
    return Site(Blocks(born, np.full(len(born), np.inf), np.full(len(born), np.ceil(size))), "growing")


def single_jump(rng: Rng, length: float) -> Site:
    base = churn(rng, length)
    at = length * rng.uniform(0.3, 0.9)
    live = base.size.sum() * float(np.mean(base.died - base.born)) / length
    blocks = int(rng.integers(100, 2000))
    size = np.ceil(max(live * log_uniform(rng, 1, 10) / blocks, 16))
    jump = Blocks(
        np.full(blocks, at) + rng.uniform(0, length / 1e5, blocks), np.full(blocks, np.inf), np.full(blocks, size)
    )
    return Site((base if rng.uniform() < 0.5 else Blocks(*(np.zeros(0),) * 3)) + jump, "growing")


def doubling(rng: Rng, length: float) -> Site:
    """One container that grows by doubling, filled at a steady rate."""
    last = length * rng.uniform(0.55, 0.95)
    times = last / 2.0 ** np.arange(8, -1, -1)
    size = np.ceil(log_uniform(rng, 1e2, 1e4) * 2 ** np.arange(len(times)))
    died = np.append(times[1:], np.inf)
    return Site(Blocks(times, died, size), "growing")


def growing_backlog(rng: Rng, length: float) -> Site:
    count = int(log_uniform(rng, 3e3, 3e4))
    born = arrivals(rng, count, length)
    pace = length / count * rng.uniform(1.05, 1.5)
    died = np.maximum.accumulate(born - np.arange(len(born)) * pace) + (np.arange(len(born)) + 1) * pace
    blocks = Blocks(born, died, sizes(rng, len(born), log_uniform(rng, 30, 30000)))
    return Site(blocks, "growing")


QUIET: tuple[Callable[[Rng, float], Site], ...] = (
    steady,
    constant,
    warm_up,
    cache_turning_over,
    slow_cache,
    sawtooth,
    sawtooth_near_snapshots,
    sawtooth_near_run,
    waves,
    waves_near_run,
    load_doubles,
    load_wanders,
    bursts,
    backlog,
    pool,
    outlier,
    nothing,
)
LOUD: tuple[Callable[[Rng, float], Site], ...] = (
    plain_leak,
    leak_under_churn,
    leak_in_waves,
    leak_after_warm_up,
    regular_leak,
    many_steps,
    single_jump,
    doubling,
    growing_backlog,
)


# ---- Recording -------------------------------------------------------------------------------------------------------


def snapshot_times(rng: Rng, length: float) -> Floats:
    """As the recorder takes them: every 250 ms, stretched with age to 10 s, never quite on time."""
    times, now = [0.0], 0.0
    longest = max(10.0, length / 1500)
    while True:
        now += min(max(0.25, now / 40), longest) * (1 + 0.01 * rng.exponential())
        if now >= length:
            break
        times.append(now)
    return np.append(times, length)


def recorded(blocks: Blocks, times: Floats, rng: Rng, interval: float | None = None) -> Floats:
    """The six matrices' rows (see `Histories`), 6 x snapshots. `interval`: mean sampling interval, None for exact."""
    born, died, size = blocks.born, blocks.died, blocks.size
    weight = np.ones(len(born))
    spread = np.zeros(len(born))
    if interval is not None:
        p = -np.expm1(-(size + 1) / interval)
        taken = rng.uniform(size=len(born)) < p
        born, died, size, p = born[taken], died[taken], size[taken], p[taken]
        weight = 1 / p
        spread = np.square(size / p) * (1 - p)
    counts = [size * weight, size * weight, weight, weight, spread, spread]
    first, last = np.searchsorted(times, born), np.searchsorted(times, died)
    rows = []
    for index, count in enumerate(counts):
        moment = last if index % 2 else first
        rows.append(np.bincount(moment, weights=count, minlength=len(times) + 1)[: len(times)].cumsum())
    return np.stack(rows)


def histories(sites: list[Site], times: Floats, rng: Rng, interval: float | None = None) -> Histories:
    """All sites as one recording."""
    rows = np.stack([recorded(site.blocks, times, rng, interval) for site in sites])
    return Histories(times, *(np.ascontiguousarray(rows[:, index]) for index in range(6)))
