# SPDX-License-Identifier: Apache-2.0
"""Everything heaptide raises on purpose. The command line prints these without a traceback and exits with `exit_code`.

    HeaptideError                    exit  slug
    ├── UsageError                   2     usage             an option or argument makes no sense
    ├── InputError                   3     input             a file is unreadable or not what it claims
    ├── NothingToShow                4     nothing-to-show   the input is sound, and the answer is empty
    └── LaunchError                  125   launch            heaptide itself could not start the program
        ├── NotExecutable            126   not-executable    the program is there and cannot be run
        └── NotFound                 127   not-found         there is no such program

Any other exception that reaches a user is a bug of ours.
"""

from __future__ import annotations

import os
from typing import ClassVar


class HeaptideError(Exception):
    """Base of the tree: one sentence of what happened, and where possible one of what to do about it (`hint`)."""

    slug: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(HeaptideError):
    """An option, argument or moment that makes no sense."""

    slug = "usage"
    exit_code = 2


class InputError(HeaptideError):
    """A file that cannot be read, or is not what it claims to be.

    Args:
        path: the file.
        offset: where in it, in bytes from its start; None when no byte is to blame (it could not be opened).
        expected: what should have stood there, as a noun phrase ("a record of type 1 to 9"), or the system's reason.
        found: what stood there instead.
        hint: what to do about it.
    """

    slug = "input"
    exit_code = 3

    def __init__(
        self,
        path: str | os.PathLike[str],
        offset: int | None,
        expected: str,
        *,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.offset = offset
        self.expected = expected
        self.found = found
        where = self.path if offset is None else f"{self.path}: at byte {offset}"
        what = expected if offset is None and found is None else f"expected {expected}"
        super().__init__(f"{where}: {what}" + (f", found {found}" if found is not None else ""), hint=hint)


class NothingToShow(HeaptideError):
    """The input is sound, and the answer is empty; the message says why."""

    slug = "nothing-to-show"
    exit_code = 4


class LaunchError(HeaptideError):
    """heaptide itself could not start the program under the agent."""

    slug = "launch"
    exit_code = 125


class NotExecutable(LaunchError):
    """The program is there and cannot be executed."""

    slug = "not-executable"
    exit_code = 126


class NotFound(LaunchError):
    """There is no such program."""

    slug = "not-found"
    exit_code = 127
