# SPDX-License-Identifier: Apache-2.0
"""`heaptide flame -o FILE.html`: the page of `report` with the timeline and the flame graph alone.

Its reader searches, zooms, filters and chooses moments there. So of the command's options those that choose where to
begin are taken, and of others it is said that they go with a picture.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click
from click.core import ParameterSource

from heaptide._errors import UsageError
from heaptide.cli import opening

if TYPE_CHECKING:
    from heaptide.model import Series, Snapshot

_OF_PICTURES = ("width", "minwidth", "focus", "ignore", "hide", "show", "born")


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the page shows when it is opened."""

    at: str
    base: str | None
    value: str
    mapped: bool
    all_frames: bool
    upwards: bool
    by: str
    inverted: bool

    def moments(self, series: Series) -> tuple[Snapshot, Snapshot | None]:
        """The moments that are compared. UsageError when one makes no sense, or when the base is another recording."""
        base = self.base
        if base is not None and os.path.exists(base):
            raise UsageError(f"a page shows one recording: {base} is another", hint="name a moment, or write an .svg")
        return series.moment(self.at), None if base is None else series.moment(base)

    def fragment(self, at: Snapshot, base: Snapshot | None) -> str:
        """The same as the page writes it into its address (docs/design/0012-the-page.md)."""
        settings: dict[str, str | int] = {"b": at.number, "value": self.value}
        if base is not None:
            settings["a"] = base.number
        if self.mapped:
            settings["kind"] = "mmap"
        if self.all_frames:
            settings["hide"] = 0
        if self.by != "function":
            settings["by"] = self.by
        if self.upwards:
            settings["flame.order"] = "flame"
        if self.inverted:
            settings["flame.from"] = "site"
        return urlencode(settings)


def write(
    context: click.Context, output: str, capture: str | None, begin: Beginning, search: Sequence[str], open_it: bool
) -> None:
    """Writes the page, and opens it when asked.

    Raises:
        UsageError: an option goes with pictures only.
        NothingToShow: the recording holds nothing that a page could show, or the page is not built here.
    """
    _refuse_options_of_pictures(context)
    from heaptide import __version__
    from heaptide.analysis.report import report
    from heaptide.cli import inputs
    from heaptide.cli.sources import Sources
    from heaptide.render.page import html
    from heaptide.render.page.file import report_file

    page = html.template()
    series = inputs.open_series(capture, search)
    at, base = begin.moments(series)
    found = report(series, also=[at] if base is None else [at, base])
    whole = report_file(
        found,
        Sources().lines,
        page=page,
        title="flame graph, heaptide",
        view="flame",
        start=begin.fragment(at, base),
        tool=f"heaptide {__version__}",
    )
    opening.write(output, whole)
    if open_it:
        opening.open_file(output)
    inputs.finish([series])


def _refuse_options_of_pictures(context: click.Context) -> None:
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT
        if given and parameter.name in _OF_PICTURES:
            raise UsageError(
                f"{parameter.opts[0]} goes with a picture: a page lets its reader choose", hint="write an .svg"
            )
