# SPDX-License-Identifier: Apache-2.0
"""Where the pprof tools look for programs: each place of the search, by build id where there is one."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from heaptide.cli.pprof_binaries import located
from heaptide.model.columns import Columns
from heaptide.symbolize.files import Image, open_image
from tests.builders.some_columns import some_columns

RECORDED = "/opt/app/bin/server"


@pytest.fixture(scope="module")
def binary() -> tuple[Path, str]:
    """A real program with its build id."""
    for path in (Path(sys.executable).resolve(), Path("/bin/sh").resolve()):
        image = open_image(str(path))
        if isinstance(image, Image) and image.elf.build_id:
            return path, image.elf.build_id.hex()
    pytest.skip("no program with a build id")


def profile(build_id: str) -> Columns:
    made = some_columns({"a": (1, 1)}, file=RECORDED)
    return replace(made, mappings=(replace(made.mappings[0], build_id=build_id),))


PLACES = (
    "{id}/server",
    "{id}/anything",
    "opt/app/bin/server/{id}",
    "{id2}/{rest}.debug",
    "server",
    "opt/app/bin/server",
    "opt/app/bin/server.debug",
    "opt/app/bin/.debug/server.debug",
    "usr/lib/debug/opt/app/bin/server.debug",
)


@pytest.mark.parametrize("place", PLACES)
def test_every_place(binary: tuple[Path, str], tmp_path: Path, place: str) -> None:
    path, build_id = binary
    target = tmp_path / place.format(id=build_id, id2=build_id[:2], rest=build_id[2:])
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)
    assert located(profile(build_id), [tmp_path]).mappings[0].file == str(target)
    found_without = located(profile(""), [tmp_path]).mappings[0].file
    assert found_without == (RECORDED if "{id" in place else str(target))


def test_another_build_is_passed_over(
    binary: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(binary[0], tmp_path / "server")
    assert located(profile("00ff"), [tmp_path]).mappings[0].file == RECORDED
    assert "is another build" in capsys.readouterr().err
    (tmp_path / "server").write_text("no program")
    assert located(profile(""), [tmp_path]).mappings[0].file == RECORDED
    assert located(profile(""), []).mappings[0].file == RECORDED
