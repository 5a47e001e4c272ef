# SPDX-License-Identifier: Apache-2.0
"""Which source files a server may read: below its roots, whatever a capture names."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from heaptide.cli.rooted import LARGEST, RootedSources

SECRET = "the secret"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """base/ with sources; beside it what must not be read."""
    root = tmp_path / "base"
    for name, text in {
        "base/src/a.c": "int a;\nint b;\n",
        "base/.git/config": SECRET,
        "base/src/.env": SECRET,
        "base/.ssh/id": SECRET,
        "outside/s.c": SECRET,
        "base-not/s.c": SECRET,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (root / "link.c").symlink_to(tmp_path / "outside/s.c")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "inner.c").symlink_to("src/a.c")
    os.mkfifo(root / "pipe.c")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["{base}/src/a.c", "src/a.c", "{base}/inner.c", "{base}/x/../src/./a.c", "/build/base/src/a.c"]
)
def test_files_below_a_root(world: Path, name: str) -> None:
    root = world / "base"
    (root / "x").mkdir()
    assert RootedSources([str(root)]).lines(name.format(base=root)) == ["int a;", "int b;"]


@pytest.mark.parametrize(
    "name",
    [
        "{world}/outside/s.c",
        "{world}/base-not/s.c",
        "{world}/base/../outside/s.c",
        "{world}/base/link.c",
        "{world}/base/folder/s.c",
        "../outside/s.c",
        "src/../../outside/s.c",
        "{world}/base/.git/config",
        "{world}/base/src/.env",
        "src/.env",
        "/build/base/.ssh/id",
        "{world}/base/pipe.c",
        "{world}/base/src",
        "{world}/base",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "{world}/base/src/a.c\0",
        "{world}/base/src/missing.c",
        "",
        "/",
        ".",
        "x" * 5000,
    ],
)
def test_nothing_else(world: Path, name: str) -> None:
    found = RootedSources([str(world / "base")]).lines(name.format(world=world))
    assert isinstance(found, str) and "source roots" in found and SECRET not in found


def test_a_root_that_is_a_link_counts_as_where_it_leads(world: Path) -> None:
    (world / "alias").symlink_to(world / "base")
    sources = RootedSources([str(world / "alias")])
    assert sources.lines("src/a.c") == ["int a;", "int b;"]
    assert sources.lines(f"{world}/base/src/a.c") == ["int a;", "int b;"]
    assert isinstance(sources.lines(f"{world}/base/link.c"), str)


def test_a_link_that_is_replaced_while_it_is_followed(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link_any_more(path: str, *, dir_fd: int | None = None) -> str:
        raise OSError(errno.EINVAL, "Invalid argument", path)

    sources = RootedSources([str(world / "base")])
    monkeypatch.setattr(os, "readlink", no_link_any_more)
    assert isinstance(sources.lines("inner.c"), str)


def test_prefixes_are_taken_off(world: Path) -> None:
    sources = RootedSources([str(world / "base")], ["/far/away"])
    assert sources.lines("/far/away/src/a.c") == ["int a;", "int b;"]
    assert isinstance(sources.lines("/far/away/../../etc/passwd"), str)


def test_a_file_is_shown_as_far_as_it_is_short(world: Path) -> None:
    (world / "base/long.c").write_bytes(b"x\n" * LARGEST)
    (world / "base/odd.c").write_bytes(b"\xff\xfe int x;\r\n")
    sources = RootedSources([str(world / "base")])
    assert len(sources.lines("long.c")) == LARGEST // 2
    assert sources.lines("odd.c") == ["�� int x;"]
