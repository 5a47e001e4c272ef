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
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser import hostile
from tests.browser.visits import Visit
from tests.browser.visits import visit as pay_visit

SECONDS = 4
_PROFILERS = ("HEAPTIDE_", "HEAPPROFILE", "HEAP_PROFILE_", "LD_PRELOAD")


@dataclass(frozen=True)
class Recordings:
    """Captures, and the program that the first two are of."""

    program: Path
    exact: Path
    sampled: Path
    hostile: Path


def heaptide(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command of ours, to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_PROFILERS)}
    return subprocess.run(
        [sys.executable, "-m", "heaptide", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )


def done(run: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that went well."""
    assert run.returncode == 0, run.stderr
    return run.stdout


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
    for capture, report in made.items():
        done(heaptide("report", capture, "-o", report))
    return made


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("not installed: chromium (tests/system-packages.txt)")
    with sync_playwright() as playwright:
        # As root Chromium has no sandbox to offer; what it opens here is ours.
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
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
        if tab.scripts:
            tab.settle()
        tab.page.context.close()
    for tab in open_tabs:
        tab.check()


@pytest.fixture
def ask() -> Callable[..., Any]:
    def answer(*words: object) -> Any:
        printed = done(heaptide(*words))
        return json.loads(printed) if "--json" in words else printed

    return answer
