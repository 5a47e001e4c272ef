# SPDX-License-Identifier: Apache-2.0
"""Whole numbers in as few bytes as each needs: zigzag LEB128, all of an array at once.

Zigzag brings small numbers of either sign to small ones (0, -1, 1, -2 ... become 0, 1, 2, 3 ...); LEB128 writes seven
bits a byte, the lowest first, the eighth bit set where more follow.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_MOST = 10
"""Bytes of a 64-bit number."""


def lengths(values: Ints) -> Ints:
    """How many bytes each number takes."""
    return _lengths(_zigzag(values))


def _zigzag(values: Ints) -> npt.NDArray[np.uint64]:
    words = values.astype(np.int64)
    return ((words << 1) ^ (words >> 63)).view(np.uint64)


def _lengths(zigzag: npt.NDArray[np.uint64]) -> Ints:
    length = np.ones(len(zigzag), np.int64)
    for bits in range(7, 64, 7):
        longer = zigzag >> np.uint64(bits) != 0
        if not longer.any():
            break
        length += longer
    return length


def encode(values: Ints) -> bytes:
    """The numbers one after the other."""
    zigzag = _zigzag(values)
    length = _lengths(zigzag)
    out = np.zeros(int(length.sum()), np.uint8)
    at = np.cumsum(length) - length
    for byte in range(int(length.max(initial=0))):
        has = length > byte
        more = np.where(length[has] > byte + 1, 0x80, 0).astype(np.uint8)
        out[at[has] + byte] = (zigzag[has] >> np.uint64(7 * byte)).astype(np.uint8) & np.uint8(0x7F) | more
    return out.tobytes()


def decode(data: bytes | memoryview) -> Ints:
    """The numbers. Raises ValueError when the last one is cut off, or one has more than ten bytes."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(raw) and (not len(ends) or ends[-1] != len(raw) - 1):
        raise ValueError("the last number is cut off")
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1)) if len(ends) else ends
    length = ends - starts + 1
    if len(length) and int(length.max()) > _MOST:
        raise ValueError(f"a number of {int(length.max())} bytes")
    zigzag = np.zeros(len(starts), np.uint64)
    for byte in range(int(length.max(initial=0))):
        has = length > byte
        part = (raw[starts[has] + byte] & 0x7F).astype(np.uint64)
        zigzag[has] |= part << np.uint64(7 * byte)
    return (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).view(np.int64)
