# SPDX-License-Identifier: Apache-2.0
"""The page as words: the verdict, the suspects and the tables as plain HTML, without styles or scripts.

It is what is painted first, what a screen reader and a browser without scripts get, and what is printed. Every text
goes through `_text`, the one place where it is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from heaptide.analysis.report import Head, Report
from heaptide.render import headings, names, units
from heaptide.render import ledger as ledgers
from heaptide.render.page.maker import Document
from heaptide.render.page.texts import clean, shortened

_ACTING, _QUIET, _FRAMES = 20, 10, 30
_NUMBERS = frozenset(("Flat", "Flat %", "Cumulative", "Cumulative %", "Bytes", "Share"))
_LONGEST = 300
"""Characters of a text in these words: nobody reads on, and a page has room for other things."""


def words(found: Report, document: Document) -> str:
    """The HTML, one article."""
    header: dict[str, Any] = document.header
    parts = [_head(header), _notices(header), _suspects(header)]
    parts += [_table(head) for head in found.tables]
    parts += [_ledger(found), _costs(header)]
    return f'<article class="words">\n{"".join(parts)}</article>'


def _head(header: dict[str, Any]) -> str:
    headline, snapshots = header["headline"], header["moments"]["total_snapshots"]
    facts = [
        header["title"],
        header["command"],
        f"process {header['pid']}" if header["pid"] else "",
        f"over {units.duration(header['duration_s'])}" if header["duration_s"] else "",
        f"{units.count(snapshots)} snapshot{'' if snapshots == 1 else 's'}",
        header["mode"],
        f"until {header['moments']['wall'][header['moments']['end']]}",
        "the recording goes on" if header["live"] else "",
    ]
    detail = "".join(f"<p>{_text(line)}</p>\n" for line in headline["detail"].split("\n") if line)
    return (
        f'<header>\n<h1 data-verdict="{_text(headline["verdict"])}">{_text(headline["text"])}</h1>\n'
        f"<p>{_text(', '.join(fact for fact in facts if fact))}</p>\n{detail}</header>\n"
    )


def _notices(header: dict[str, Any]) -> str:
    lines = list(header["warnings"])
    folded = sum(part["folded"] for part in header["datasets"])
    if folded:
        lines.append(f"{units.count(folded)} call paths are put together here, each too small to be seen by itself.")
    kept, all_ = len(header["moments"]["number"]), header["moments"]["total_snapshots"]
    if kept < all_:
        lines.append(f"This page knows {units.count(kept)} of {units.count(all_)} snapshots.")
    return _section("Notes", _list(lines)) if lines else ""


def _suspects(header: dict[str, Any]) -> str:
    found = header["suspects"]
    acting = [suspect for suspect in found if suspect["acts"]]
    quiet = [suspect for suspect in found if not suspect["acts"]][:_QUIET]
    parts = "".join(_suspect(suspect, header["sources"]) for suspect in acting[:_ACTING])
    if header["suspects_total"] > _ACTING:
        parts += f"<p>and {units.count(header['suspects_total'] - _ACTING)} more</p>\n"
    if quiet:
        rows = [[suspect["place_text"], suspect["verdict"], suspect["growth_text"]] for suspect in quiet]
        parts += _rows("Sites that need no action", ("Site", "Verdict", "Growth"), rows)
    return _section("Suspects", parts) if parts else ""


def _suspect(suspect: dict[str, Any], sources: Sequence[dict[str, Any]]) -> str:
    rate = ", ".join(
        part
        for part in (
            suspect["rate_text"],
            suspect["interval_text"],
            suspect["share_text"],
            suspect["confidence_text"],
        )
        if part
    )
    lines = [rate, suspect["growth_text"], _source_line(suspect["source"], sources), *suspect["steps"]]
    lines += [f"why: {suspect['why']}", suspect["limit_text"]]
    lines += [f"of it {part['rate_text']} at {part['place_text']}" for part in suspect["parts"]]
    stack = "".join(f"<li>{_text(frame)}</li>\n" for frame in suspect["stack"][:_FRAMES])
    return (
        f"<section>\n<h3>{suspect['rank']}. {_text(suspect['verdict'])}: {_text(suspect['place_text'])}</h3>\n"
        f"{_list(line for line in lines if line)}<ol>\n{stack}</ol>\n</section>\n"
    )


def _source_line(place: dict[str, int] | None, sources: Sequence[dict[str, Any]]) -> str:
    if place is None:
        return ""
    excerpt = sources[place["index"]]
    return f"{place['line']}: {excerpt['lines'][place['line'] - excerpt['first_line']].strip()}"


def _table(head: Head) -> str:
    """The rows that hold most, as `heaptide top` prints them."""
    table = head.table
    if not table.rows:
        return ""
    rows = []
    for row in table.rows:
        name, source = names.row_name(row)
        flat, cum = (units.quantity(size, table.unit) for size in (row.flat, row.cum))
        rows.append(
            [flat, units.percent(row.flat, table.whole), cum, units.percent(row.cum, table.whole), name, source]
        )
    total = units.quantity_with_error(table.total, table.error, table.unit)
    more = (
        f", the first {len(table.rows)} of {units.count(table.row_count)}" if table.row_count > len(table.rows) else ""
    )
    counted = (headings.VALUE_WORDS if head.kind == "heap" else headings.MAPPED_WORDS)[table.value]
    caption = f"{counted} at the end: {total}{more}"
    return _rows(caption, ("Flat", "Flat %", "Cumulative", "Cumulative %", "Function", "Source"), rows)


def _ledger(found: Report) -> str:
    if found.ledger is None:
        return ""
    whole = found.ledger.rss_bytes
    rows = [
        [ledgers.WORDS[part.name], units.quantity_with_error(part.bytes, part.error_bytes, "bytes"), share]
        for part in found.ledger.parts
        if part.bytes >= 1 and (share := units.percent(part.bytes, whole))
    ]
    rest = found.ledger.remainder_bytes
    rows += [["not explained", units.size(rest), units.percent(rest, whole)], ["resident", units.size(whole), "100 %"]]
    growth = found.ledger.growth
    sentence = "" if growth is None else f"<p>{_text(ledgers.growth_sentence(growth))}</p>\n"
    caption = f"resident memory at {headings.moment(found.ledger.read)}"
    return _rows(caption, ("Part", "Bytes", "Share"), rows) + sentence


def _costs(header: dict[str, Any]) -> str:
    lines = [f"{cost['label']}: {cost['text']}" for cost in header["costs"]]
    return _section("What recording took", _list(lines)) if lines else ""


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{_text(title)}</h2>\n{body}</section>\n" if body else ""


def _list(lines: Iterable[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{_text(line)}</li>\n" for line in lines) + "</ul>\n"


def _rows(caption: str, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    marks = [' class="number"' if title in _NUMBERS else "" for title in titles]
    head = "".join(f'<th scope="col"{mark}>{_text(title)}</th>' for title, mark in zip(titles, marks, strict=True))
    body = "".join(f"<tr>{_cells(row, marks)}</tr>\n" for row in rows)
    title = f"<caption>{_text(caption)}</caption>\n<thead><tr>{head}</tr></thead>"
    return f"<table>\n{title}\n<tbody>\n{body}</tbody>\n</table>\n"


def _cells(row: Sequence[str], marks: Sequence[str]) -> str:
    return "".join(f"<td{mark}>{_text(cell)}</td>" for cell, mark in zip(row, marks, strict=True))


def _text(text: str) -> str:
    return html.escape(clean(shortened(text, _LONGEST)))
