# SPDX-License-Identifier: Apache-2.0
"""A real terminal (tmux), and a recorded program that leaks to look at in it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import copy

PATIENCE_S = 100.0
SERVER = Path(__file__).resolve().parents[2] / "src" / "heaptide" / "demo" / "server.c"


class Terminal:
    """A tmux of its own, 80 by 24, in which a command runs."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ["tmux", "-u", "-S", str(socket), "-f", "/dev/null"]

    def start(self, *command: object, environment: Mapping[str, str]) -> None:
        unset = [word for name in ("NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG") for word in ("-u", name)]
        set_ = [f"{name}={value}" for name, value in environment.items()]
        told = ["sh", "-c", '"$@"; echo "ended with $?"; exec cat', "sh"]
        size = ["-x", "80", "-y", "24"]
        self._run("new-session", "-d", "-s", "t", *size, *told, "env", *unset, *set_, *map(str, command))

    def keys(self, *keys: str) -> None:
        self._run("send-keys", "-t", "t", *keys)

    def screen(self, *options: str) -> str:
        return self._run("capture-pane", "-p", *options, "-t", "t")

    def shows(self, *texts: str) -> str:
        """Waits until all of these (expressions) stand on the screen."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            screen = self.screen()
            if all(re.search(text, screen) for text in texts):
                return screen
            assert time.monotonic() < deadline, f"still no {texts} in:\n{screen}"
            time.sleep(0.1)

    def modes(self) -> str:
        """Whether the other screen is shown, and whether the mouse is reported: "0 0" is how a shell has it."""
        return self._run("display-message", "-p", "-t", "t", "#{alternate_on} #{mouse_any_flag}").strip()

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-t", "t", "-x", str(width), "-y", str(height))

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def leaking_server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The demo's, whose `handle_search` leaks; recorded into server.tide."""
    server = folder / "server"
    subprocess.run(["cc", "-O2", "-g", "-o", server, copy(SERVER, folder)], check=True)
    command = [sys.executable, "-m", "heaptide", "run", "-o", str(folder / "server.tide"), "--", server, "1", "600"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            yield run
        finally:
            run.terminate()  # it hands the signal on to the server
