# SPDX-License-Identifier: Apache-2.0
"""`heaptide completion SHELL`: the script that makes a shell complete our commands and options."""

from __future__ import annotations

import click

from heaptide.cli.guard import out

_EPILOG = """\b
Examples:
  eval "$(heaptide completion bash)"                  in ~/.bashrc
  heaptide completion fish > ~/.config/fish/completions/heaptide.fish
"""


@click.command("completion", epilog=_EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a script that completes commands in a shell."""
    from click.shell_completion import get_completion_class

    from heaptide.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None, shell
    out(found(cli, {}, "heaptide", "_HEAPTIDE_COMPLETE").source() + "\n")
