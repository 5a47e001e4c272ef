# SPDX-License-Identifier: Apache-2.0
"""Chromium, a leaking program's captures and the reports made of them, each once for this folder.

Fixtures:
    recordings  captures of shop.cpp, exact and sampled, and of hostile.py's program
    reports     the report of each
    browser     Chromium, headless; skips where it is not installed (PyPI's playwright drives it)
    visit       visit(url, **context) -> Visit: a tab, closed and checked for faults at the end of the test
    ask         ask("top", capture, "--json") -> what that command prints

Nothing is for the whole session: while Playwright runs, its event loop is the main thread's, and tests of other folders
have loops of their own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, sync_playwright

from heaptide.cli.main import cli
from tests.browser import hostile
from tests.browser.commands import done, heaptide
from tests.browser.visits import Visit
from tests.browser.visits import visit as pay_visit

SECONDS = 3
STRANGER = "stranger.test"
"""A name that the browser believes to be this machine's, as a name server of an enemy's would have it."""

# As root Chromium has no sandbox to offer; what it opens here is ours. Containers have little /dev/shm.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1"]


@dataclass(frozen=True)
class Recordings:
    """Captures, and the program that the first two are of."""

    program: Path
    exact: Path
    sampled: Path
    hostile: Path


def compiled(folder: Path) -> Path:
    """shop.cpp, compiled."""
    program = folder / "shop"
    source = Path(__file__).with_name("shop.cpp")
    words = ["c++", "-std=gnu++17", "-O2", "-g", "-fno-optimize-sibling-calls", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*words, "-o", str(program), str(source)], check=True)
    return program


@pytest.fixture(scope="package")
def recordings(tmp_path_factory: pytest.TempPathFactory, agent: Path, recorder: Path) -> Recordings:
    folder = tmp_path_factory.mktemp("shop")
    shop, enemy = compiled(folder), hostile.compiled(folder)
    found = Recordings(shop, folder / "exact.tide", folder / "sampled.tide", folder / f"{enemy.name}.tide")
    runs = (
        ("--exact", "-o", found.exact, "--", shop, SECONDS),
        ("-o", found.sampled, "--", shop, SECONDS),
        ("--exact", "-o", found.hostile, "--", enemy, *hostile.ARGUMENTS),
    )
    with ThreadPoolExecutor(len(runs)) as pool:  # they sleep most of their time
        for run in pool.map(lambda words: heaptide("run", *words, cwd=folder), runs):
            done(run)
    return found


@pytest.fixture(scope="package")
def reports(recordings: Recordings) -> dict[Path, Path]:
    """Report by capture."""
    captures = (recordings.exact, recordings.sampled, recordings.hostile)
    made = {capture: capture.with_suffix(".html") for capture in captures}
    with ThreadPoolExecutor(2) as pool:
        for run in pool.map(lambda pair: heaptide("report", pair[0], "-o", pair[1]), made.items()):
            done(run)
    return made


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("not installed: chromium (tests/system-packages.txt)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    open_tabs: list[Visit] = []

    def enter(url: str | Path, **context: Any) -> Visit:
        address = url.as_uri() if isinstance(url, Path) else url
        open_tabs.append(pay_visit(browser, address, **context))
        return open_tabs[-1]

    yield enter
    for tab in open_tabs:
        tab.leave()
    for tab in open_tabs:
        tab.check()


@pytest.fixture
def ask() -> Callable[..., Any]:
    def answer(*words: object) -> Any:
        found = CliRunner().invoke(cli, [str(word) for word in words])  # in this process: a test asks often
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout) if "--json" in words else found.stdout

    return answer
