# SPDX-License-Identifier: Apache-2.0
"""Units of measurement as profiles name them, and the way from one to another.

Families, factors and rules are those of pprof (internal/measurement): memory in powers of 1024, time, and Google's
compute units. A unit outside of them is a count of something, which is not converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

AUTOMATIC = ("minimum", "auto")
"""Asks for the largest unit in which the value is at least 1."""

_NO_UNIT = ("count", "sample", "unit", *AUTOMATIC)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: how it is written, how it is called, and how many of its family's base units it is."""

    name: str
    aliases: tuple[str, ...]
    factor: float


@dataclass(frozen=True, slots=True)
class Family:
    """Units that convert into each other; `default` serves where none fits."""

    units: tuple[Unit, ...]
    default: Unit

    def find(self, name: str) -> Unit | None:
        """The unit of that name, in either case and with a plural s; None when it is not of this family."""
        name = name.lower()
        if len(name) > 2:
            name = name.removesuffix("s")
        return next((unit for unit in self.units if name in unit.aliases), None)

    def largest(self, base: float) -> Unit:
        """The largest unit in which ``base`` (in base units) is at least 1."""
        fitting = [unit for unit in self.units if base / unit.factor >= 1.0]
        return max(fitting, key=lambda unit: unit.factor, default=self.default)


_BYTE = Unit("B", ("b", "byte"), 1.0)
_SECOND = Unit("s", ("s", "sec", "second"), 1e9)
_GCU = Unit("GCU", ("gcu",), 1.0)
_MEMORY = Family(
    (
        _BYTE,
        Unit("kB", ("kb", "kbyte", "kilobyte"), 2.0**10),
        Unit("MB", ("mb", "mbyte", "megabyte"), 2.0**20),
        Unit("GB", ("gb", "gbyte", "gigabyte"), 2.0**30),
        Unit("TB", ("tb", "tbyte", "terabyte"), 2.0**40),
        Unit("PB", ("pb", "pbyte", "petabyte"), 2.0**50),
    ),
    _BYTE,
)
_TIME = Family(
    (
        Unit("ns", ("ns", "nanosecond"), 1.0),
        Unit("us", ("μs", "us", "microsecond"), 1e3),
        Unit("ms", ("ms", "millisecond"), 1e6),
        _SECOND,
        Unit("hrs", ("hour", "hr"), 3600e9),
    ),
    _SECOND,
)
_COMPUTE = Family(
    (
        Unit("n*GCU", ("nanogcu",), 1e-9),
        Unit("u*GCU", ("microgcu",), 1e-6),
        Unit("m*GCU", ("milligcu",), 1e-3),
        _GCU,
        Unit("k*GCU", ("kilogcu",), 1e3),
        Unit("M*GCU", ("megagcu",), 1e6),
        Unit("G*GCU", ("gigagcu",), 1e9),
        Unit("T*GCU", ("teragcu",), 1e12),
        Unit("P*GCU", ("petagcu",), 1e15),
    ),
    _GCU,
)
FAMILIES = (_MEMORY, _TIME, _COMPUTE)


@lru_cache(maxsize=1024)
def _known(unit: str) -> tuple[Family, Unit] | None:
    for family in FAMILIES:
        found = family.find(unit)
        if found is not None:
            return family, found
    return None


def scale(value: float, unit: str, to: str) -> tuple[float, str]:
    """``value``, counted in ``unit``, in the unit ``to`` and how that is written: (1536, "bytes", "kb") -> (1.5, "kB").

    ``to`` may be one of `AUTOMATIC`. A ``to`` of another family gives the family's default; values of unknown units
    stay as they are.
    """
    if value < 0:
        scaled, name = scale(-value, unit, to)
        return -scaled, name
    known = _known(unit)
    if known is None:
        return float(value), "" if to in _NO_UNIT else to
    family, source = known
    base = value * source.factor
    target = family.largest(base) if to in AUTOMATIC else family.find(to) or family.default
    return base / target.factor, target.name


def is_unit(name: str) -> bool:
    """Whether values can be written in what is named: a unit, an automatic one, or a count."""
    return name in _NO_UNIT or _known(name) is not None


def is_memory(unit: str) -> bool:
    """Whether values of this unit are bytes, or multiples of them."""
    known = _known(unit)
    return known is not None and known[0] is _MEMORY


def convertible(one: str, other: str) -> bool:
    """Whether values of the two units can be added up after a conversion."""
    if one == other:
        return True
    first, second = _known(one), _known(other)
    return first is not None and second is not None and first[0] is second[0]
