# SPDX-License-Identifier: Apache-2.0
"""The outermost call: turns whatever ends a command into a message on stderr and an exit status.

0 done   2 usage   3 input unreadable   4 nothing to show   125, 126, 127 the program could not be run
130 interrupted   141 whoever read our output stopped reading (the status a shell shows for SIGPIPE)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from heaptide._errors import HeaptideError

_INTERRUPTED = 130
_PIPE_CLOSED = 141


def leave(command: click.Command, name: str, arguments: Sequence[str] | None) -> NoReturn:
    """Run ``command`` and exit with its status."""
    sys.exit(status_of(command, name, arguments))


def status_of(command: click.Command, name: str, arguments: Sequence[str] | None) -> int:
    """Run ``command`` and return its exit status, messages already printed."""
    try:
        result = command.main(
            args=None if arguments is None else list(arguments), prog_name=name, standalone_mode=False
        )
        sys.stdout.flush()
    except HeaptideError as error:
        say(error.message, error.hint)
        return error.exit_code
    except click.ClickException as error:
        say(error.format_message(), _usage_hint(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it closes stdout on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    return result if isinstance(result, int) else 0


def out(text: str) -> None:
    """A result to stdout. Names that are no UTF-8 come out as the bytes they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def say(message: str, hint: str | None = None) -> None:
    """One message to stderr, with what to do about it on a line of its own."""
    lines = [f"heaptide: {message}"]
    if hint:
        lines.append(f"  {hint}")
    try:
        sys.stdout.flush()
        print("\n".join(lines), file=sys.stderr, flush=True)
    except BrokenPipeError:
        pass


def _usage_hint(error: click.ClickException) -> str | None:
    context = getattr(error, "ctx", None)
    return f"see: {context.command_path} --help" if isinstance(context, click.Context) else None
