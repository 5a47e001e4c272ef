# SPDX-License-Identifier: Apache-2.0
"""The options by which `graph`, `tree`, `peek`, `list` and `top` choose stacks and frames, declared once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from heaptide._errors import NothingToShow

if TYPE_CHECKING:
    from heaptide.cli.inputs import Chosen
    from heaptide.model import Profile

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Pattern(click.ParamType[re.Pattern[str]]):
    """A regular expression on the command line."""

    name = "pattern"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        if isinstance(value, re.Pattern):
            return value
        try:
            return re.compile(str(value))
        except re.error as error:
            self.fail(f"{value!r} is no regular expression: {error}", param, ctx)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for."""

    focus: re.Pattern[str] | None = None
    ignore: re.Pattern[str] | None = None
    hide: re.Pattern[str] | None = None
    show: re.Pattern[str] | None = None

    def apply(self, picked: Chosen, value: str) -> tuple[Profile, float]:
        """The profile as chosen, and the sum of absolute values that shares refer to: that of the whole.

        Raises NothingToShow when the filters leave nothing of what there was.
        """
        whole: float = abs(picked.profile.column(value)).sum().item()
        profile = self.of(picked.profile)
        if whole and not len(profile):
            raise NothingToShow("the filters leave nothing", hint="see --focus, --ignore, --hide, --show")
        return profile, whole

    def of(self, profile: Profile) -> Profile:
        """A profile as chosen."""
        from heaptide.analysis.choose import chosen
        from heaptide.analysis.filters import ByName

        return chosen(profile, ByName(self.focus, self.ignore, self.hide, self.show))


def choice(function: _Function) -> _Function:
    """Adds the options; the command gets them as ``focus``, ``ignore``, ``hide`` and ``show``."""
    texts = {
        "show": "Only frames that match.",
        "hide": "Leave out frames that match.",
        "ignore": "No stack with a match.",
        "focus": "Only stacks with a match in a function, file or module.",
    }
    for name, text in texts.items():
        function = click.option(f"--{name}", type=Pattern(), metavar="RE", help=text)(function)
    return function
