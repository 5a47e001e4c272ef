# SPDX-License-Identifier: Apache-2.0
"""`heaptide run --no-children`, and the environment that children of a recorded program find."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import torture

pytestmark = pytest.mark.usefixtures("agent", "recorder")
OURS = ("LD_PRELOAD", "HEAPTIDE_")


@pytest.fixture(scope="module")
def folder() -> Path:
    return torture.build()


def run(place: Path, *words: object, preload: str = "") -> subprocess.CompletedProcess[str]:
    """`heaptide run --exact` in a folder of its own; captures get their program's name."""
    options = ["--exact", "-o", "{name}.{pid}.tide"]
    command = [sys.executable, "-m", "heaptide", "run", *options, *map(str, words)]
    environment = {**os.environ, **({"LD_PRELOAD": preload} if preload else {})}
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


def names(place: Path) -> list[str]:
    return sorted(path.name.split(".")[0] for path in place.glob("*.tide"))


def test_forked_children_are_recorded_or_not(folder: Path, tmp_path: Path) -> None:
    for option, captures in (("--children", 5), ("--no-children", 1)):
        place = tmp_path / option
        place.mkdir()
        done = run(place, option, "--", folder / "children", "prefork")
        assert (done.returncode, done.stdout) == (0, "served\n")
        assert len(names(place)) == captures  # one that is gone at once may be without its name


def test_executed_children_are_recorded_or_not(folder: Path, tmp_path: Path) -> None:
    script = f"'{folder}/children' plain; '{folder}/threads' keep_errno; exit 7"
    for option, captures in (("--children", {"children", "threads"}), ("--no-children", set())):
        place = tmp_path / option
        place.mkdir()
        done = run(place, option, "--", "sh", "-c", script)
        assert (done.returncode, done.stdout) == (7, "plain\nerrno is kept\n")
        assert set(names(place)) - {"sh", "dash", "bash"} == captures


def _environment(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name: value for name, value in pairs if name not in ("_", "PWD", "OLDPWD", "SHLVL")}


@pytest.mark.parametrize("preload", ["", "libm.so.6"])
def test_children_that_are_left_alone_find_no_trace(preload: str, tmp_path: Path) -> None:
    """Neither our entry in LD_PRELOAD nor a variable of ours; the user's own entry stays."""
    plain = {**os.environ, **({"LD_PRELOAD": preload} if preload else {})}
    expected = subprocess.run(["sh", "-c", "env; true"], env=plain, capture_output=True, text=True).stdout
    done = run(tmp_path, "--no-children", "--", "sh", "-c", "env; true", preload=preload)
    assert _environment(done.stdout) == _environment(expected)


def test_followed_children_find_one_entry_more(tmp_path: Path) -> None:
    done = run(tmp_path, "--", "sh", "-c", "env; true", preload="libm.so.6")
    found = _environment(done.stdout)
    assert found["LD_PRELOAD"].endswith(":libm.so.6") and found["LD_PRELOAD"].count(":") == 1
    changed = {name for name, value in found.items() if os.environ.get(name) != value}
    assert all(name.startswith(OURS) for name in changed), changed
