# SPDX-License-Identifier: Apache-2.0
"""A recording as one file: template, words and document together, within their room."""

from __future__ import annotations

from heaptide.analysis.report import Report
from heaptide.render.listing import Lines
from heaptide.render.page import html
from heaptide.render.page.make import REPORT_ROOM, document, room_beside
from heaptide.render.page.maker import View
from heaptide.render.page.words import words

_WORDS = 150_000
"""Bytes that the words of most recordings stay below."""


def report_file(
    found: Report,
    lines_of: Lines,
    *,
    page: str,
    title: str,
    view: View = "report",
    start: str = "",
    tool: str = "heaptide",
) -> bytes:
    """The HTML file, at most `make.REPORT_ROOM` bytes where folding can bring it there.

    Args:
        found: what was gathered.
        lines_of: reads a source file, or says why not.
        page: the template (`html.template`).
        title: what stands in the browser's tab behind the recording's name.
        view, start, tool: see `make.document`.
    """
    room = room_beside(page) - _WORDS
    while True:
        made = document(found, lines_of, view=view, start=start, tool=tool, room=room)
        text = words(found, made)
        whole = html.report(page, title=f"{made.header['title']}: {title}", words=text, data=made.data)
        left = room_beside(page, text)
        if len(whole) <= REPORT_ROOM or left >= room:
            return whole
        room = left  # the words were longer than most
