# SPDX-License-Identifier: Apache-2.0
"""native/build.py on a little project of its own: what is built when, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def project(native_build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    native = tmp_path / "native"
    (native / "recorder").mkdir(parents=True)
    monkeypatch.setattr(native_build, "NATIVE", native)
    monkeypatch.setattr(native_build, "STAMPS", tmp_path / "stamps")
    return native


@pytest.fixture
def part(native_build: ModuleType) -> Any:
    return native_build.Part("hello", "recorder", ())


def _write(path: Path, text: str, second: int) -> None:
    """A file with a time stamp of its own, since two writes within a clock tick look alike."""
    path.write_text(text)
    os.utime(path, (second, second))


def _program(project: Path, status: int, second: int) -> None:
    _write(project / "answer.h", f"#define ANSWER {status}\n", second)
    _write(project / "recorder" / "main.c", '#include "answer.h"\nint main(void) { return ANSWER; }\n', second)


def test_skips_what_has_no_sources(
    native_build: ModuleType, project: Path, part: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert native_build.build(part, tmp_path / "out") is None
    assert "nothing in native/recorder yet" in capsys.readouterr().err


def test_builds_only_what_is_out_of_date(native_build: ModuleType, project: Path, part: Any, tmp_path: Path) -> None:
    _program(project, 3, 1_000_000)
    output = native_build.build(part, tmp_path / "out")
    assert subprocess.run([output]).returncode == 3
    first = output.stat()
    assert native_build.build(part, tmp_path / "out").stat().st_mtime_ns == first.st_mtime_ns

    _write(project / "answer.h", "#define ANSWER 4\n", first.st_mtime_ns // 10**9 + 10)  # a header alone has changed
    assert subprocess.run([native_build.build(part, tmp_path / "out")]).returncode == 4


def test_builds_again_for_another_command(native_build: ModuleType, project: Path, part: Any, tmp_path: Path) -> None:
    _program(project, 3, 1_000_000)
    before = native_build.build(part, tmp_path / "out").stat().st_mtime_ns
    assert native_build.build(part, tmp_path / "out", extra=("-O0",)).stat().st_mtime_ns > before


def test_old_output_stays_when_the_compiler_refuses(
    native_build: ModuleType, project: Path, part: Any, tmp_path: Path
) -> None:
    _program(project, 3, 1_000_000)
    output = native_build.build(part, tmp_path / "out")
    _write(project / "recorder" / "main.c", "int main(void) { return }\n", output.stat().st_mtime_ns // 10**9 + 10)
    with pytest.raises(native_build.BuildError, match="hello did not compile"):
        native_build.build(part, tmp_path / "out")
    assert subprocess.run([output]).returncode == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["hello"]


def test_warnings_are_errors_only_where_asked(
    native_build: ModuleType, project: Path, part: Any, tmp_path: Path
) -> None:
    _write(project / "recorder" / "main.c", "int main(void) { int unused; return 0; }\n", 1_000_000)
    with pytest.raises(native_build.BuildError):
        native_build.build(part, tmp_path / "out")
    assert native_build.build(part, tmp_path / "out", werror=False) is not None


def test_says_what_to_do_without_a_compiler(
    native_build: ModuleType, project: Path, part: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(project, 3, 1_000_000)
    monkeypatch.setenv("CC", "no-such-compiler -O3")
    with pytest.raises(native_build.BuildError, match=r"'no-such-compiler' is not there; install one"):
        native_build.build(part, tmp_path / "out")
