# SPDX-License-Identifier: Apache-2.0
"""`heaptide agent`: where the agent's library is."""

from __future__ import annotations

import click

from heaptide.cli.guard import out

_EPILOG = """\b
Example:
  LD_PRELOAD=$(heaptide agent) HEAPPROFILE=/tmp/profile ./server
"""


@click.command("agent", epilog=_EPILOG)
def command() -> None:
    """Print the path of the agent's library.

    For LD_PRELOAD, and for copying it with `heaptide-record` (beside it) to a machine that has no Python.
    """
    from heaptide.launch import agent_path

    out(str(agent_path()) + "\n")
