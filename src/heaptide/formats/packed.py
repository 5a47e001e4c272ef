# SPDX-License-Identifier: Apache-2.0
"""Unpacking gzip and zstd with a ceiling: a small file must not become all the memory there is."""

from __future__ import annotations

import zlib

from heaptide._errors import InputError

MOST_BYTES = 1 << 30
MOST_TIMES = 200
"""A profile rarely packs better than 1:30; a bomb packs 1:1000 and better."""
_FREE_BYTES = 16 << 20


def is_gzip(head: bytes) -> bool:
    """Whether a file that begins so is gzipped."""
    return head.startswith(b"\x1f\x8b")


def is_zstd(head: bytes) -> bool:
    """Whether a file that begins so is packed by zstd."""
    return head.startswith(b"\x28\xb5\x2f\xfd")


def unpack(data: bytes, path: str, *, cut: bool = False) -> bytes:
    """The contents of a gzipped or zstd-packed file (of one or several members).

    Args:
        data: the file.
        path: named in errors.
        cut: return what there is of a file that ends too early, and do not refuse it.

    Raises:
        InputError: it is damaged, or would unpack to more than 1 GiB or 200 times its size.
    """
    ceiling = min(MOST_BYTES, _FREE_BYTES + MOST_TIMES * len(data))
    try:
        out, complete = _zstd(data, ceiling) if is_zstd(data) else _gzip(data, ceiling)
    except (zlib.error, EOFError, ValueError) as error:
        raise InputError(path, None, f"cannot be unpacked: {error}") from None
    if len(out) > ceiling:
        raise InputError(
            path, None, f"unpacks to more than {ceiling >> 20} MiB", hint="unpack it yourself if it is no bomb"
        )
    if not complete and not cut:
        raise InputError(path, None, "cannot be unpacked: it was cut short")
    return out


def head_of(data: bytes) -> bytes:
    """What the first bytes of a gzipped file unpack to, as far as they go; the bytes themselves if it is not one."""
    if not is_gzip(data):
        return data
    try:
        return zlib.decompressobj(31).decompress(data, 1 << 16)
    except zlib.error:
        return b""


def _gzip(data: bytes, ceiling: int) -> tuple[bytes, bool]:
    """Unpacked bytes, one more than ``ceiling`` at most, and whether the last member came to its end."""
    parts: list[bytes] = []
    room = ceiling + 1
    complete = False
    while data and room > 0:
        member = zlib.decompressobj(31)
        parts.append(member.decompress(data, room))
        room -= len(parts[-1])
        complete = member.eof
        if not complete:
            break
        data = member.unused_data.lstrip(b"\0")
    return b"".join(parts), complete


def _zstd(data: bytes, ceiling: int) -> tuple[bytes, bool]:
    import zstandard

    parts: list[bytes] = []
    room = ceiling + 1
    complete = True
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data, read_across_frames=True) as stream:
            while room > 0 and (part := stream.read(min(room, 1 << 20))):
                parts.append(part)
                room -= len(part)
    except zstandard.ZstdError as error:
        if not parts:
            raise ValueError(str(error)) from None
        complete = False
    return b"".join(parts), complete
