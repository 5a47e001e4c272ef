# SPDX-License-Identifier: Apache-2.0
"""The ledger for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from heaptide.analysis.ledger import Cause, Growth, Ledger, Name, Part, Reading, Share
from heaptide.model import Series, Snapshot
from heaptide.render import headings, json, names, units

WORDS: Mapping[Name, str] = {
    "in_use": "blocks in use",
    "rounding": "rounded up by the allocator",
    "allocator_free": "held free by the allocator",
    "mapped": "mapped by the program",
    "stacks": "stacks",
    "code": "program and libraries",
    "files": "other mapped files",
    "shared": "shared memory",
    "heaptide": "heaptide itself",
    "other": "other (the loader's)",
}
_CAUSES: Mapping[Cause, str] = {
    "in_use": "by blocks in use: a leak, or data that grows. `heaptide growth` says which and where.",
    "allocator_free": "by free memory that the allocator holds, and not by blocks in use: fragmentation, not a leak.",
    "mapped": "by what the program maps itself. `heaptide top --mmap` says where.",
    "elsewhere": "outside the heap: neither a leak of blocks nor fragmentation.",
    "several": "by several parts, none of which explains most of it.",
    "nothing": "",
}
_SITES = 3
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def text(ledger: Ledger, series: Series, asked: Snapshot, *, colour: bool = False) -> str:
    """The ledger as a table, with the largest sites below their part, and what made resident memory grow."""
    lines = [
        f"{names.base_name(series.path)}: resident memory",
        f"at {headings.moment(asked)}{_read_words(ledger.read, asked)}",
        "",
        *_table(ledger, colour),
        "",
        *_outside(ledger),
    ]
    if ledger.growth is not None:
        lines.append(growth_sentence(ledger.growth))
    return "\n".join(lines) + "\n"


def short(ledger: Ledger) -> list[str]:
    """For below another report: the parts that hold something, without their sites, and what made memory grow."""
    held = tuple(replace(part, sites=()) for part in ledger.parts if part.bytes >= 1)
    lines = [f"resident memory at {headings.moment(ledger.read)}", *_table(replace(ledger, parts=held), False)]
    return lines + ([growth_sentence(ledger.growth)] if ledger.growth is not None else [])


_COLUMNS: tuple[tuple[str, tuple[Name, ...]], ...] = (
    ("in use", ("in_use",)),
    ("rounding", ("rounding",)),
    ("held free", ("allocator_free",)),
    ("mapped", ("mapped",)),
    ("stacks", ("stacks",)),
    ("files", ("code", "files")),
    ("shared", ("shared",)),
    ("heaptide", ("heaptide",)),
)


def timeline_text(readings: Sequence[Reading], series: Series, *, limit: int) -> str:
    """One line for each reading; evenly chosen ones, first and last among them, where there are more than ``limit``."""
    step = max(1, -(-(len(readings) - 1) // max(limit - 1, 1)))
    shown = [*readings[:-1:step], readings[-1]]
    cells = [["", "resident", *(title for title, _ in _COLUMNS)]]
    for reading in shown:
        sums = [sum(reading.parts[name] for name in part) for _, part in _COLUMNS]
        sizes = [units.size(size) for size in (reading.rss_bytes, *sums)]
        cells.append([f"#{reading.snapshot.number} {units.offset(reading.snapshot.offset_s)}", *sizes])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    heading = f"{names.base_name(series.path)}: resident memory over time"
    left = f"({units.count(len(readings) - len(shown))} readings between them are left out)"
    return "\n".join([heading, "", *lines, *([left] if len(shown) < len(readings) else [])]) + "\n"


def _read_words(read: Snapshot, asked: Snapshot) -> str:
    return "" if read.number == asked.number else f", pages read at {headings.moment(read)}"


def _table(ledger: Ledger, colour: bool) -> list[str]:
    bold, dim, plain = (_BOLD, _DIM, _PLAIN) if colour else ("", "", "")
    rows = [
        (WORDS[part.name], _amount(part), units.percent(part.bytes, ledger.rss_bytes), part) for part in ledger.parts
    ]
    name_width = max(len(row[0]) for row in rows) + 2
    width = max(len(row[1]) for row in rows)
    lines = []
    for words, amount, share, part in rows:
        lines.append(f"{words:<{name_width}}{amount:>{width}}  {share:>7}")
        lines += [f"{dim}{line}{plain}" for line in _site_lines(part, name_width, width)]
    remainder, share = units.size(ledger.remainder_bytes), units.percent(ledger.remainder_bytes, ledger.rss_bytes)
    lines.append(f"{'not explained':<{name_width}}{remainder:>{width}}  {share:>7}")
    lines.append(f"{bold}{'resident':<{name_width}}{units.size(ledger.rss_bytes):>{width}}{plain}")
    return lines


def _amount(part: Part) -> str:
    return units.quantity_with_error(part.bytes, part.error_bytes, "bytes")


def _site_lines(part: Part, name_width: int, width: int) -> list[str]:
    """The largest sites, those under a twentieth of the part left out."""
    shown = [share for share in part.sites[:_SITES] if share.bytes >= part.bytes / 20]
    return [f"{'':<{name_width}}{units.size(share.bytes):>{width}}  {_site_name(share)}" for share in shown]


def _site_name(share: Share) -> str:
    return "(without a site)" if share.place is None else names.place_name(share.place)


def _outside(ledger: Ledger) -> list[str]:
    lines = []
    if not ledger.absent_known:
        lines.append("No sampled block told how much of what is in use is not resident; it counts as resident here.")
    elif ledger.absent_bytes >= 1:
        absent = units.quantity_with_error(ledger.absent_bytes, ledger.absent_error_bytes, "bytes")
        lines.append(f"Not in the sum: {absent} in use and not resident (never touched, or swapped out).")
    if ledger.swapped_bytes:
        lines.append(f"Swapped out, of all parts: {units.size(ledger.swapped_bytes)}.")
    return lines


def growth_sentence(growth: Growth) -> str:
    """In words: whether resident memory grew, and whether that is a leak, fragmentation or neither."""
    since = f"since {headings.moment(growth.since)}"
    if growth.cause == "nothing":
        change = units.size(growth.rss_bytes, signed=True)
        return f"Resident memory did not grow {since} ({change})."
    changes = sorted(growth.changes.items(), key=lambda item: -item[1])
    most = ", ".join(f"{WORDS[name]} {units.size(size, signed=True)}" for name, size in changes[:2] if size > 0)
    return f"Resident memory grew by {units.size(growth.rss_bytes)} {since} ({most}), {_CAUSES[growth.cause]}"


# ---- JSON -------------------------------------------------------------------------------------------------------


def json_text(ledger: Ledger) -> str:
    """`ledger --json`."""
    return json.document(body(ledger))


def timeline_json(readings: Sequence[Reading]) -> str:
    """`ledger --over-time --json`: every reading; bytes by part."""
    rows = [
        {
            "t_s": reading.snapshot.offset_s,
            "snapshot": reading.snapshot.number,
            "rss_bytes": reading.rss_bytes,
            "parts": dict(reading.parts),
        }
        for reading in readings
    ]
    return json.document({"readings": rows})


def nothing_json(reason: str) -> str:
    """The document where there is nothing to show."""
    return json.document({"rss_bytes": None, "parts": [], "remainder_bytes": None, "reason": reason})


def body(ledger: Ledger) -> dict[str, object]:
    """The ledger as `growth --json` holds it too; bytes. `sites` lists at most 50 functions."""
    growth = ledger.growth
    return {
        "read_at_s": ledger.read.offset_s,
        "snapshot": ledger.read.number,
        "rss_bytes": ledger.rss_bytes,
        "parts": [_part(part) for part in ledger.parts],
        "remainder_bytes": ledger.remainder_bytes,
        "not_resident_bytes": ledger.absent_bytes if ledger.absent_known else None,
        "not_resident_error_bytes": ledger.absent_error_bytes if ledger.absent_known else None,
        "swapped_bytes": ledger.swapped_bytes,
        "growth": None if growth is None else _growth(growth),
    }


def _part(part: Part) -> dict[str, object]:
    found: dict[str, object] = {"name": part.name, "bytes": part.bytes, "error_bytes": part.error_bytes}
    return found | ({"sites": _sites(part.sites[:50])} if part.sites else {})


def _sites(shares: Sequence[Share]) -> list[dict[str, object]]:
    return [
        {
            "function": share.place and share.place.function,
            "file": share.place and share.place.file,
            "module": share.place and share.place.module,
            "bytes": share.bytes,
        }
        for share in shares
    ]


def _growth(growth: Growth) -> dict[str, object]:
    return {
        "since_s": growth.since.offset_s,
        "rss_bytes": growth.rss_bytes,
        "changes": dict(growth.changes),
        "cause": growth.cause,
    }
