# SPDX-License-Identifier: Apache-2.0
"""Showing an answer in another program: a browser, a picture viewer, kcachegrind."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile

from heaptide._errors import UsageError
from heaptide.cli.guard import say

_BROWSERS = ("chromium", "google-chrome", "chrome", "firefox", "sensible-browser", "xdg-open")
_SUFFIX = {"callgrind": "callgrind"}


def show(data: bytes, viewer: str, form: str) -> None:
    """Writes the answer into a file of its own and starts the viewer on it; the file stays, and is named.

    Raises UsageError when no such program is installed.
    """
    words = [os.environ["BROWSER"]] if viewer == "web" and os.environ.get("BROWSER") else []
    words += _BROWSERS if viewer == "web" else [viewer]
    command = next((split for word in words if (split := shlex.split(word)) and shutil.which(split[0])), None)
    if command is None:
        raise UsageError(f"--{viewer}: not installed: {' or '.join(words)}", hint=f"write a file: --output=FILE.{form}")
    with tempfile.NamedTemporaryFile(prefix="heaptide-", suffix=f".{_SUFFIX.get(form, form)}", delete=False) as file:
        file.write(data)
    say(f"wrote {file.name}")
    subprocess.Popen([*command, file.name], stdin=subprocess.DEVNULL, start_new_session=True)
