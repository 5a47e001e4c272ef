# SPDX-License-Identifier: Apache-2.0
"""The only place where a number becomes text.

Two dialects. heaptide's own: binary units under their right names (``36.6 MiB``), a sign where a difference is meant.
pprof's: powers of 1024 named ``kB`` and ``MB``, two decimals, as `heaptide pprof` must print them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from heaptide.analysis.measures import scale

Unit = Literal["bytes", "objects"]

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def _three_digits(value: float) -> str:
    """Three significant digits for 1 <= value < 1024."""
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def size(value: float, *, signed: bool = False) -> str:
    """Bytes for a person: ``512 B``, ``36.6 MiB``; ``+36.6 MiB`` when signed. What rounds to nothing has no sign."""
    rest, step = abs(value), 0
    while rest >= 1023.5 and step < len(_BINARY) - 1:
        rest, step = rest / 1024, step + 1
    text = f"{rest:.0f}" if step == 0 else _three_digits(rest)
    sign = "" if text == "0" else "-" if value < 0 else "+" if signed else ""
    return f"{sign}{text} {_BINARY[step]}"


def size_range(low: float, high: float) -> str:
    """Bytes from one bound to another, both in the larger one's unit: ``12.9..14.1 GiB``."""
    largest, step = max(abs(low), abs(high)), 0
    while largest >= 1023.5 and step < len(_BINARY) - 1:
        largest, step = largest / 1024, step + 1
    bounds = [str(round(bound)) if step == 0 else _in_range(bound / 1024**step) for bound in (low, high)]
    return f"{'..'.join(bounds)} {_BINARY[step]}"


def _in_range(value: float) -> str:
    text = _three_digits(abs(value))
    return f"-{text}" if value < 0 and text != "0.00" else text


def count(value: float, *, signed: bool = False) -> str:
    """A number of things: ``400,012``; estimates are rounded to whole ones."""
    return f"{round(value):+,}" if signed and round(value) else f"{round(value):,}"


def quantity(value: float, unit: Unit, *, signed: bool = False) -> str:
    """`size` or `count`, by unit."""
    return size(value, signed=signed) if unit == "bytes" else count(value, signed=signed)


def blocks(value: float) -> str:
    """``1 block``, ``400,012 blocks``."""
    return f"{count(value)} block{'' if round(value) == 1 else 's'}"


def quantity_with_error(value: float, error: float, unit: Unit) -> str:
    """A quantity with its 95 % half-width: ``36.6 MiB +/- 1.2 MiB``; without one when it is exact (error 0)."""
    text = quantity(value, unit)
    return f"{text} +/- {quantity(error, unit)}" if error > 0 else text


def percent(part: float, whole: float) -> str:
    """A share with its sign: ``94.4 %``; ``-`` where there is no whole to share."""
    if whole == 0:
        return "-"
    share = 100 * part / abs(whole)
    if abs(share) >= 99.95:
        return f"{share:.0f} %"
    return f"{share:.1f} %" if share and abs(share) >= 0.05 else ("0 %" if not share else "<0.1 %")


def times(before: float, now: float) -> str:
    """By how much something grew: ``x1.84``; ``new`` for what was not there, ``gone`` for what is there no more."""
    if before == now:
        return "" if not now else "x1.00"
    if before <= 0 or now <= 0:
        return "new" if now > 0 else "gone" if before > 0 else ""
    factor = now / before
    return f"x{factor:.2f}" if factor < 99.5 else f"x{factor:,.0f}"


def duration(seconds: float) -> str:
    """A length of time: ``80 ms``, ``12.3 s``, ``4 min 10 s``, ``2 h 05 min``, ``3 d 04 h``."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def offset(seconds: float) -> str:
    """A moment as its offset from the start: ``+00:12.3``, ``+03:12:05``."""
    sign = "-" if seconds < 0 else "+"
    tenths = round(abs(seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    if minutes < 60:
        return f"{sign}{minutes:02d}:{rest // 10:02d}.{rest % 10}"
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}:{rest // 10:02d}"


def address(value: int) -> str:
    """``0x7f47a4bab11d``."""
    return f"{value:#x}"


def pprof_unit(smallest: float, largest: float, unit: str) -> str:
    """pprof's unit "minimum": that of the smallest value, unless the largest is over a hundred times bigger.

    ``smallest`` is the smallest non-zero absolute value shown and ``largest`` the total, both counted in ``unit``.
    """
    small, large = scale(smallest, unit, "minimum")[1], scale(largest, unit, "minimum")[1]
    if small != large and smallest * 100 < largest:
        small = scale(100 * smallest, unit, "minimum")[1]
    return small or unit


def pprof_value(value: float, unit: str, to: str = "auto") -> str:
    """A value counted in ``unit`` as pprof prints it in ``to`` (kB, seconds, auto ...): ``1488.84kB``, ``0``."""
    scaled, name = scale(value, unit, to)
    text = f"{scaled:.2f}".removesuffix(".00")
    return "0" if text in ("0", "-0") else text + name


def pprof_percent(part: float, whole: float) -> str:
    """A share as pprof prints it, sign dropped: ``  100%``, ``94.38%``, `` 0.5%``."""
    share = 100 * abs(part) / abs(whole) if whole else 0.0
    if 99.95 <= share <= 100.05:
        return "  100%"
    return f"{share:5.2f}%" if share >= 1 else f"{share:5.2g}%"


class Dialect(Protocol):
    """How a table or a picture writes its numbers."""

    def value(self, value: float) -> str:
        """One value with its unit."""
        ...

    def share(self, value: float) -> str:
        """A value as a share of the whole."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """heaptide's own: ``36.6 MiB`` and ``94.4 %``, signed in differences."""

    unit: Unit
    whole: float
    signed: bool = False

    def value(self, value: float) -> str:
        return quantity(value, self.unit, signed=self.signed)

    def share(self, value: float) -> str:
        return percent(value, self.whole)


@dataclass(frozen=True, slots=True)
class Pprof:
    """pprof's: ``36.62MB`` and ``94.38%``; all values in one unit (see `pprof_unit`)."""

    counted_in: str
    """The unit of the values as they come."""
    unit: str
    """The unit that they are written in."""
    whole: float
    ratio: float = 1.0
    """What values are multiplied by before they are written."""
    signed: bool = False
    """Shares keep their sign."""

    def value(self, value: float) -> str:
        return pprof_value(value if self.ratio == 1.0 else int(value * self.ratio), self.counted_in, self.unit)

    def share(self, value: float) -> str:
        return self.column(value).strip()

    def column(self, value: float, whole: float | None = None) -> str:
        """A share for a column, six characters wide; of ``whole`` where it is not of the total."""
        of = self.whole if whole is None else whole
        text = pprof_percent(value, of)
        return f"{'-' + text.strip():>6}" if self.signed and value * of < 0 and text.strip() != "0%" else text
