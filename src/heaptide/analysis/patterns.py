# SPDX-License-Identifier: Apache-2.0
"""Regular expressions as the Go tool takes them, in time that grows with the text and not with the pattern.

Files carry patterns of their own (`Columns.drop_frames`), so a pattern may be anybody's: with Python's `re` one like
``(a|a)*b`` never ends. RE2 has the syntax that pprof's users write, POSIX classes among it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol


class Matcher(Protocol):
    """What is asked of a pattern; `re.Pattern[str]` is one as well."""

    @property
    def pattern(self) -> Any:
        """The text that it was made of."""
        ...

    def search(self, string: str, /) -> object | None:
        """Something if the pattern is found in the string."""
        ...

    def fullmatch(self, string: str, /) -> object | None:
        """Something if the pattern matches the string as a whole."""
        ...


class BadPattern(ValueError):
    """What was given is no regular expression."""


class Regex:
    """A compiled pattern. Raises BadPattern."""

    def __init__(self, pattern: str) -> None:
        re2 = _library()
        options = re2.Options()
        options.log_errors = False
        self.pattern = pattern
        try:
            self._compiled = re2.compile(_known(pattern), options)
        except re2.error as error:
            reason = error.args[0] if error.args else "?"
            raise BadPattern(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None

    def search(self, string: str, /) -> object | None:
        """See `Matcher.search`."""
        found: object | None = self._compiled.search(_known(string))
        return found

    def fullmatch(self, string: str, /) -> object | None:
        """See `Matcher.fullmatch`."""
        found: object | None = self._compiled.fullmatch(_known(string))
        return found


@cache
def _library() -> Any:
    import re2

    return re2


def _known(text: str) -> str:
    """The text with every byte that is no UTF-8 as a replacement character: RE2 takes nothing else."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
