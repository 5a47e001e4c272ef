# SPDX-License-Identifier: Apache-2.0
"""What every test may ask for: places, and reasons to skip.

Fixtures:
    repository   the root of the work tree
    shared       ../shared beside it (benchmarks, known leaks, golden files); skips where that folder is absent
    need         need("jq", "gs") skips, naming it, where a program of the system is missing
    agent        path of the built libheaptide.so; skips while native/agent has no sources
    recorder     path of the built heaptide-record; the same
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared beside the repository")
    return folder


@pytest.fixture
def need() -> Callable[..., None]:
    def check(*programs: str) -> None:
        missing = [program for program in programs if shutil.which(program) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)} (tests/system-packages.txt)")

    return check


@pytest.fixture(scope="session")
def native_build() -> ModuleType:
    """native/build.py as a module."""
    spec = importlib.util.spec_from_file_location("heaptide_native_build", ROOT / "native" / "build.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _built(native_build: ModuleType, part: object) -> Path:
    path: Path | None = native_build.build(part)
    if path is None:
        pytest.skip(f"no sources in native/{part.folder}")  # type: ignore[attr-defined]
    return path


@pytest.fixture(scope="session")
def agent(native_build: ModuleType) -> Path:
    return _built(native_build, native_build.AGENT)


@pytest.fixture(scope="session")
def recorder(native_build: ModuleType) -> Path:
    return _built(native_build, native_build.RECORDER)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test inherits a profiler from the shell that started it."""
    for name in list(os.environ):
        if name.startswith(("HEAPTIDE_", "HEAPPROFILE", "HEAP_PROFILE_")) or name == "LD_PRELOAD":
            monkeypatch.delenv(name)
