# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from heaptide.symbolize.symcache import DiskCache, default_dir


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_store_and_load(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "a" / "b")
    entry = cache.path_of(b"\xab\xcd", "one file")
    assert entry.name.startswith("abcd-")
    assert not cache.load(entry)
    assert cache.store(entry, b"contents")
    assert cache.load(entry)
    assert names(tmp_path / "a" / "b") == {entry.name}
    assert entry.stat().st_mode & 0o777 == 0o600


def test_another_source_is_another_entry(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    assert cache.path_of(b"\1", "one") != cache.path_of(b"\1", "two")
    assert cache.path_of(b"", "one").name.startswith("no-build-id-")


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "grown"])
def test_a_damaged_entry_is_removed(tmp_path: Path, damage: str) -> None:
    cache = DiskCache(tmp_path)
    entry = cache.path_of(b"\1", "x")
    cache.store(entry, bytes(range(256)))
    raw = entry.read_bytes()
    spoilt = {"flip": b"\xff" + raw[1:], "cut": raw[:-3], "empty": b"", "grown": raw + b"x"}
    entry.write_bytes(spoilt[damage])
    assert not cache.load(entry)
    assert not entry.exists()


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file" / "below")
    entry = cache.path_of(b"\1", "x")
    assert not cache.store(entry, b"contents")
    assert not cache.load(entry)


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, cap=3500)
    entries = [cache.path_of(bytes([i]), "x") for i in range(4)]
    for i, entry in enumerate(entries[:3]):
        cache.store(entry, bytes(1000))
        os.utime(entry, (time.time() - 100 + i, time.time() - 100 + i))
    assert cache.load(entries[0])  # the oldest, now used again
    cache.store(entries[3], bytes(1000))
    assert names(tmp_path) == {entries[i].name for i in (0, 2, 3)}
    assert not cache.store(entries[1], bytes(4000))


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path)
    old, new = tmp_path / "tmp-old", tmp_path / "tmp-new"
    old.write_text("")
    new.write_text("")
    os.utime(old, (1, 1))
    cache.store(cache.path_of(b"\1", "x"), b"contents")
    assert not old.exists()
    assert new.exists()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAPTIDE_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert default_dir() == Path("/own/symcache")
    monkeypatch.delenv("HEAPTIDE_CACHE")
    assert default_dir() == Path("/xdg/heaptide/symcache")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_dir() == Path("/home/me/.cache/heaptide/symcache")
