# SPDX-License-Identifier: Apache-2.0
"""The cache on disk of digested debug files. It saves seconds at each start and is never needed: any trouble with it
(a read-only home, a full disk, a damaged entry) means that the debug file is read again, and nothing worse.

An entry is the digest's bytes followed by a trailer of 16: magic, CRC-32 and length of what stands before it. Its name
says which build it is of, and a hash of all that went into it: the debug file's identity, the version of `symbolic`,
and our own RECIPE. Entries are written beside and renamed, so a reader never meets half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import struct
import tempfile
import time
import zlib
from pathlib import Path

RECIPE = 1
"""Raise it when what we put into an entry changes (the mend of .debug_line, for instance)."""
MAGIC = 0x43595354
SUFFIX = ".symcache"
CAP_BYTES = 2 << 30
"""Ceiling of the whole cache. A 137 MB debug file makes an entry of 34 MB."""
STALE_SECONDS = 3600
"""A temporary file this old was left behind by a process that died."""

_TRAILER = struct.Struct("<IIQ")


def default_dir() -> Path:
    """$HEAPTIDE_CACHE/symcache, else $XDG_CACHE_HOME/heaptide/symcache, else ~/.cache/heaptide/symcache."""
    own = os.environ.get("HEAPTIDE_CACHE")
    if own:
        return Path(own) / "symcache"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path(os.path.expanduser("~")) / ".cache") / "heaptide" / "symcache"


class DiskCache:
    """Named blobs in one directory, the least recently used dropped above `cap` bytes."""

    def __init__(self, directory: Path, cap: int = CAP_BYTES) -> None:
        self.directory = directory
        self._cap = cap

    def path_of(self, build_id: bytes, made_from: str) -> Path:
        """The entry's file. `made_from` is any text that changes when the contents would."""
        digest = hashlib.sha256(f"{RECIPE}\0{made_from}".encode("utf-8", "surrogateescape")).hexdigest()
        return self.directory / f"{build_id.hex() or 'no-build-id'}-{digest[:16]}{SUFFIX}"

    def load(self, path: Path) -> bool:
        """Whether a sound entry stands at `path`; a damaged one is removed. Marks it as used now."""
        try:
            with path.open("rb") as file:
                sound = _is_sound(file.fileno())
            if sound:
                os.utime(path)
            else:
                path.unlink(missing_ok=True)
        except OSError:
            return False
        return sound

    def store(self, path: Path, contents: bytes) -> bool:
        """Write an entry, then make room. False when that could not be done, which is no error."""
        if len(contents) > self._cap:
            return False
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_aside(path, contents)
        except OSError:
            return False
        self._evict(keep=path)
        return True

    def _evict(self, keep: Path) -> None:
        entries = []
        now = time.time()
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.directory):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(SUFFIX):
                        entries.append((status.st_mtime_ns, status.st_size, entry.path))
                    elif entry.name.startswith("tmp-") and now - status.st_mtime > STALE_SECONDS:
                        os.unlink(entry.path)
        total = sum(size for _, size, _ in entries)
        for _, size, entry_path in sorted(entries):
            if total <= self._cap:
                return
            if entry_path != os.fspath(keep):
                with contextlib.suppress(OSError):
                    os.unlink(entry_path)
                    total -= size


def _is_sound(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size - _TRAILER.size
    if size <= 0:
        return False
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as view:
        magic, crc, length = _TRAILER.unpack_from(view, size)
        with view[:size] as contents:
            return bool(magic == MAGIC and length == size and crc == zlib.crc32(contents))


def _write_aside(path: Path, contents: bytes) -> None:
    """Write beside and rename. The file is private to its user (mkstemp: mode 0600)."""
    descriptor, temporary = tempfile.mkstemp(prefix="tmp-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(contents)
            file.write(_TRAILER.pack(MAGIC, zlib.crc32(contents), len(contents)))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
