# SPDX-License-Identifier: Apache-2.0
"""How the commands that print a table end: the document or the text, what was unreadable, why there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heaptide.cli.guard import out
from heaptide.cli.options import VALUES

if TYPE_CHECKING:
    from heaptide._errors import NothingToShow
    from heaptide.cli.inputs import Chosen


@dataclass(frozen=True, slots=True)
class Showing:
    """A choice, and what is shown of it. UsageError when it does not hold that value."""

    chosen: Chosen
    value: str
    mapped: bool = False

    def __post_init__(self) -> None:
        from heaptide._errors import UsageError

        held = list(self.chosen.profile.values)
        if self.value not in held:
            ours = [name for name in held if name in VALUES]
            raise UsageError(
                f"{self.chosen.series.path} holds no {self.value}; what it counts: {', '.join(held) or 'nothing'}",
                hint=f"say --value {ours[0]}" if ours else "see: heaptide pprof --text FILE, which shows any value",
            )

    def why_empty(self) -> NothingToShow:
        """The reason why the choice has no rows."""
        from heaptide.cli import inputs

        return inputs.why_empty(self.chosen, self.value, mapped=self.mapped)

    def finish(
        self,
        nothing: NothingToShow | None,
        *,
        as_json: bool,
        document: Callable[[str | None], str],
        text: Callable[[list[str]], str],
    ) -> None:
        """Prints the document (which tells why it is empty) or the text (which gets its heading), and ends.

        Raises:
            InputError: parts of what was read were damaged.
            NothingToShow: ``nothing``, when it is not None.
        """
        from heaptide.cli import inputs

        if as_json:
            out(document(nothing.message if nothing else None))
        elif nothing is None:
            out(text(self.heading()))
        inputs.finish(self.chosen.read)
        if nothing is not None:
            raise nothing

    def heading(self) -> list[str]:
        """The lines above the table."""
        from heaptide.render import headings

        return headings.heading(
            self.chosen.series,
            self.value,
            self.chosen.at,
            self.chosen.base,
            mapped=self.mapped,
            remark=self.chosen.remark,
        )
