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
    """root/ with sources; beside it what must not be read."""
    root = tmp_path / "root"
    for name, text in {
        "root/src/a.c": "int a;\nint b;\n",
        "root/.git/config": SECRET,
        "root/src/.env": SECRET,
        "root/.ssh/id": SECRET,
        "outside/s.c": SECRET,
        "root-not/s.c": SECRET,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (root / "link.c").symlink_to(tmp_path / "outside/s.c")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "inner.c").symlink_to("src/a.c")
    os.mkfifo(root / "pipe.c")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["{root}/src/a.c", "src/a.c", "{root}/inner.c", "{root}/x/../src/./a.c", "/build/root/src/a.c"]
)
def test_files_below_a_root(world: Path, name: str) -> None:
    root = world / "root"
    (root / "x").mkdir()
    assert RootedSources([str(root)]).lines(name.format(root=root)) == ["int a;", "int b;"]


@pytest.mark.parametrize(
    "name",
    [
        "{world}/outside/s.c",
        "{world}/root-not/s.c",
        "{world}/root/../outside/s.c",
        "{world}/root/link.c",
        "{world}/root/folder/s.c",
        "../outside/s.c",
        "src/../../outside/s.c",
        "{world}/root/.git/config",
        "{world}/root/src/.env",
        "src/.env",
        "/build/root/.ssh/id",
        "{world}/root/pipe.c",
        "{world}/root/src",
        "{world}/root",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "{world}/root/src/a.c\0",
        "{world}/root/src/missing.c",
        "",
        "/",
        ".",
        "x" * 5000,
    ],
)
def test_nothing_else(world: Path, name: str) -> None:
    found = RootedSources([str(world / "root")]).lines(name.format(world=world))
    assert isinstance(found, str) and "source roots" in found and SECRET not in found


def test_a_root_that_is_a_link_counts_as_where_it_leads(world: Path) -> None:
    (world / "alias").symlink_to(world / "root")
    sources = RootedSources([str(world / "alias")])
    assert sources.lines("src/a.c") == ["int a;", "int b;"]
    assert sources.lines(f"{world}/root/src/a.c") == ["int a;", "int b;"]
    assert isinstance(sources.lines(f"{world}/root/link.c"), str)


def test_a_link_that_is_replaced_while_it_is_followed(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link_any_more(path: str, *, dir_fd: int | None = None) -> str:
        raise OSError(errno.EINVAL, "Invalid argument", path)

    sources = RootedSources([str(world / "root")])
    monkeypatch.setattr(os, "readlink", no_link_any_more)
    assert isinstance(sources.lines("inner.c"), str)


def test_prefixes_are_taken_off(world: Path) -> None:
    sources = RootedSources([str(world / "root")], ["/far/away"])
    assert sources.lines("/far/away/src/a.c") == ["int a;", "int b;"]
    assert isinstance(sources.lines("/far/away/../../etc/passwd"), str)


def test_a_file_is_shown_as_far_as_it_is_short(world: Path) -> None:
    (world / "root/long.c").write_bytes(b"x\n" * LARGEST)
    (world / "root/odd.c").write_bytes(b"\xff\xfe int x;\r\n")
    sources = RootedSources([str(world / "root")])
    assert len(sources.lines("long.c")) == LARGEST // 2
    assert sources.lines("odd.c") == ["�� int x;"]
