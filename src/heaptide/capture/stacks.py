# SPDX-License-Identifier: Apache-2.0
"""Decodes the payload of a STACKS record: LEB128 varints, each stack sharing its root-most frames with the one before.

The varints are decoded with numpy; Python runs once for each stack, to find where it begins, and not for each frame.
What the addresses are is worked out when they are asked for (capture/frames.py). Memory and time are proportional to
the payload, whatever it claims.
"""

import numpy as np
import numpy.typing as npt

from heaptide.capture import format as fmt
from heaptide.capture.frames import Frames
from heaptide.capture.records import StacksRecord

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_CHUNK = 1 << 20


class Malformed(Exception):
    """A payload that contradicts the format. Carries what was expected and what was found."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


def varints(data: bytes | memoryview) -> Words:
    """All unsigned LEB128 numbers of `data`. Raises Malformed for one that is cut off or longer than 64 bits."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(raw) and (not len(ends) or ends[-1] != len(raw) - 1):
        raise Malformed("the end of a number", "the end of the record")
    values = np.empty(len(ends), np.uint64)
    first = 0
    for begin in range(0, len(ends), _CHUNK):  # in pieces, so that scratch memory stays small beside the payload
        chunk = ends[begin : begin + _CHUNK]
        values[begin : begin + len(chunk)] = _decode(raw, chunk, first)
        first = int(chunk[-1]) + 1
    return values


def _decode(raw: npt.NDArray[np.uint8], ends: npt.NDArray[np.intp], first: int) -> Words:
    """The numbers that end at `ends`; the first of them begins at `first`."""
    starts = np.empty_like(ends)
    starts[0] = first
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > 10 or (longest == 10 and int(raw[ends[lengths == 10]].max()) > 1):
        raise Malformed("a number of at most 64 bits", "a longer one")
    values = (raw[starts] & 0x7F).astype(np.uint64)
    for position in range(1, longest):
        longer = np.flatnonzero(lengths > position)
        digits = (raw[starts[longer] + position] & 0x7F).astype(np.uint64)
        values[longer] |= digits << np.uint64(7 * position)
    return values


def zigzag(values: Words) -> Words:
    """Signed numbers in two's complement, from their zigzag form."""
    return (values >> np.uint64(1)) ^ (np.uint64(0) - (values & np.uint64(1)))


def decode_stacks(payload: memoryview, offset: int) -> StacksRecord:
    """The stacks of a STACKS payload (without its fixed head, which says `count`). Raises Malformed."""
    if len(payload) < fmt.STACKS.size:
        raise Malformed(f"a head of {fmt.STACKS.size} bytes", f"{len(payload)} bytes")
    count = int(fmt.STACKS.unpack(payload)["count"])
    body = payload[fmt.STACKS.size :]
    if count * 4 > len(body):
        raise Malformed(f"at most {len(body) // 4} stacks in {len(body)} bytes", f"{count} stacks")
    words = varints(body)
    heads = _heads(words, count)
    keep, length = _small(words[heads + 2]), _small(words[heads + 3])
    _check_depths(keep, length)
    return StacksRecord(
        offset=offset,
        ids=_ids(words[heads]),
        flags=(words[heads + 1] & np.uint64(0x7FFF)).astype(np.int64),
        frames=Frames(np.cumsum(zigzag(words), dtype=np.uint64), heads + 4, keep, length),
    )


def _heads(words: Words, count: int) -> Ints:
    """Where each stack begins: behind the addresses of the one before."""
    numbers = words.tolist()
    heads, position = [], 0
    for row in range(count):
        if position + 4 > len(numbers):
            raise Malformed(f"stack {row + 1} of {count}", "the end of the record")
        heads.append(position)
        position += 4 + numbers[position + 3]
    if position > len(numbers):
        raise Malformed(f"{numbers[heads[-1] + 3]} addresses", "the end of the record")
    if position < len(numbers):
        raise Malformed(f"{count} stacks", f"{len(numbers) - position} more numbers behind them")
    return np.array(heads, np.int64)


def _small(words: Words) -> Ints:
    """Numbers of frames. What is too large stays too large."""
    return np.minimum(words, np.uint64(2 * fmt.MAX_DEPTH)).astype(np.int64)


def _check_depths(keep: Ints, length: Ints) -> None:
    depth = keep + length
    before = np.concatenate([np.zeros(1, np.int64), depth[:-1]])[: len(keep)]
    if (keep > before).any():
        row = int(np.argmax(keep > before))
        raise Malformed(f"at most {before[row]} frames shared with the stack before", str(keep[row]))
    if (depth > fmt.MAX_DEPTH).any():
        raise Malformed(f"at most {fmt.MAX_DEPTH} frames", str(depth.max()))


def _ids(distances: Words) -> Ints:
    """From zigzag differences. Each is kept so small that the sum cannot come round to a number that would do."""
    steps = np.where(distances < np.uint64(2**34), zigzag(distances).astype(np.int64), np.int64(2**33))
    ids: Ints = np.cumsum(steps)
    wrong = (ids < fmt.FIRST_STACK_ID) | (ids >= 2**32)
    if wrong.any():
        raise Malformed(f"a stack id from {fmt.FIRST_STACK_ID}", str(ids[np.argmax(wrong)]))
    return ids
