# SPDX-License-Identifier: Apache-2.0
"""The outermost call: turns whatever ends a command into a message on stderr and an exit status.

0 done   2 usage   3 input unreadable   4 nothing to show   125, 126, 127 the program could not be run
130 interrupted   141 whoever read our output stopped reading (the status a shell shows for SIGPIPE)
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from heaptide._errors import HeaptideError, UsageError

_INTERRUPTED = 130
_PIPE_CLOSED = 141
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f]")
"""Control characters but tab and newline; bytes that are no UTF-8 may be such too."""


class _NobodyReads(Exception):
    """Whoever read our output has gone (`heaptide top | head`). Not BrokenPipeError, which click ends with status 1."""


def leave(command: click.Command, name: str, arguments: Sequence[str] | None) -> NoReturn:
    """Run ``command`` and exit with its status."""
    sys.exit(status_of(command, name, arguments))


def status_of(command: click.Command, name: str, arguments: Sequence[str] | None) -> int:
    """Run ``command`` and return its exit status, messages already printed."""
    try:
        result = command.main(
            args=None if arguments is None else list(arguments), prog_name=name, standalone_mode=False
        )
    except HeaptideError as error:
        say(error.message, error.hint)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        _to_stderr(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        say(error.format_message(), _usage_hint(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except _NobodyReads:
        # Python would complain once more when it closes stdout on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _PIPE_CLOSED
    return result if isinstance(result, int) else 0


def out(text: str) -> None:
    """A result to stdout. Names that are no UTF-8 come out as the bytes they are."""
    out_bytes(text.encode("utf-8", "surrogateescape"))


def out_bytes(data: bytes) -> None:
    """A result to stdout. UsageError when that is closed or full."""
    if sys.stdout is None:
        raise UsageError("standard output is closed: there is no place for the result")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise _NobodyReads from None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer must not fail again
        raise UsageError(f"standard output cannot be written: {error.strerror}") from None


def out_data(data: bytes) -> None:
    """A result for other programs to stdout. UsageError where that is a terminal which the bytes might command."""
    if sys.stdout is not None and sys.stdout.isatty() and _COMMANDS.search(data.decode("utf-8", "surrogateescape")):
        raise UsageError("standard output is a terminal, and this is no text", hint="write a file, or into a pipe")
    out_bytes(data)


def say(message: str, hint: str | None = None) -> None:
    """One message to stderr, with what to do about it on a line of its own."""
    from heaptide.render.harmless import harmless_lines

    lines = [f"heaptide: {message}"]
    if hint:
        lines.append(f"  {hint}")
    _to_stderr(harmless_lines("\n".join(lines)).encode("utf-8", "backslashreplace").decode())


def _to_stderr(text: str) -> None:
    """Where stderr is closed or full the exit status must do. (Without a stderr, print would write to stdout.)"""
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # else Python fails once more on the way out


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"see: {context.command_path} --help" if isinstance(context, click.Context) else None
