# SPDX-License-Identifier: Apache-2.0
"""What the tests of `heaptide serve` share: see serving.py.

Fixtures:
    grower     a program that allocates when it is told to
    finished   a capture of it, in which it grew three times
    session    who holds the cookie of a server that shows that capture twice; its source root is the program's folder
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.serving import PROGRAM, Growing, Session, serving


@pytest.fixture(scope="module")
def grower(tmp_path_factory: pytest.TempPathFactory, agent: Path, recorder: Path) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "grower.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-g", "-o", folder / "grower", folder / "grower.c"], check=True)
    return folder / "grower"


@pytest.fixture(scope="module")
def finished(grower: Path) -> Path:
    """A finished one."""
    path = grower.parent / "finished.tide"
    growing = Growing(grower, path)
    for blocks, total in ((100, 100_000), (200, 300_000), (300, 600_000)):
        growing.grow(blocks)
        growing.until_recorded(total)
    growing.end()
    return path


@pytest.fixture(scope="module")
def session(finished: Path) -> Iterator[Session]:
    secret = finished.parent.parent / "secret.c"
    secret.write_text("the secret\n")
    with serving(finished, finished, cwd=finished.parent) as server:
        session = server.enter()
        assert [entry["state"] for entry in session.ready()] == ["ready", "ready"]
        yield session
