# SPDX-License-Identifier: Apache-2.0
"""Decodes the payload of a STACKS record: LEB128 varints, each stack sharing its root-most frames with the one before.

The varints are decoded with numpy, the addresses by one cumulative sum; Python runs once for each stack and not for
each frame. Memory and time are proportional to the payload, whatever it claims.
"""

import numpy as np
import numpy.typing as npt

from heaptide.capture import format as fmt
from heaptide.capture.records import StacksRecord

Words = npt.NDArray[np.uint64]

_LOW = 2**64 - 1
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
    return _Walk(words, count).record(offset)


class _Walk:
    """One pass over the decoded numbers: finds the runs, what each builds on, and the address before each."""

    def __init__(self, words: Words, count: int) -> None:
        self.words = words
        self.sums = np.cumsum(zigzag(words), dtype=np.uint64)
        self.ids = np.zeros(count, np.int64)
        self.flags = np.zeros(count, np.int64)
        self.keep = np.zeros(count, np.int64)
        self.length = np.zeros(count, np.int64)
        self.base = np.full(count, -1, np.int64)
        self.first = np.zeros(count, np.int64)  # index in `words` of the run's first address
        self.shift = np.zeros(count, np.uint64)  # add to sums[i] of the run to get the address
        self.runs: list[tuple[int, int, int]] = []  # runs of the stack before: (its row, keep, first)

    def record(self, offset: int) -> StacksRecord:
        position, previous_id, depth = 0, 0, 0
        for row in range(len(self.ids)):
            position, previous_id, depth = self._stack(row, position, previous_id, depth)
        if position != len(self.words):
            raise Malformed(f"{len(self.ids)} stacks", f"{len(self.words) - position} more numbers behind them")
        return StacksRecord(
            offset=offset,
            ids=self.ids,
            flags=self.flags,
            run_start=np.cumsum(self.length) - self.length,
            run_length=self.length,
            keep=self.keep,
            base=self.base,
            pcs=self._addresses(),
        )

    def _stack(self, row: int, position: int, previous_id: int, depth: int) -> tuple[int, int, int]:
        if position + 4 > len(self.words):
            raise Malformed(f"stack {row + 1} of {len(self.ids)}", "the end of the record")
        delta, flags, keep, length = self.words[position : position + 4].tolist()
        position += 4
        stack_id = previous_id + ((delta >> 1) ^ -(delta & 1))
        if not fmt.FIRST_STACK_ID <= stack_id < 2**32:
            raise Malformed(f"a stack id from {fmt.FIRST_STACK_ID}", str(stack_id))
        if keep > depth:
            raise Malformed(f"at most {depth} frames shared with the stack before", str(keep))
        if keep + length > fmt.MAX_DEPTH:
            raise Malformed(f"at most {fmt.MAX_DEPTH} frames", str(keep + length))
        if length > len(self.words) - position:
            raise Malformed(f"{length} addresses", "the end of the record")
        self.ids[row], self.flags[row], self.keep[row], self.length[row] = stack_id, flags & 0x7FFF, keep, length
        self._build_on(row, keep, position)
        return position + length, stack_id, keep + length

    def _build_on(self, row: int, keep: int, position: int) -> None:
        """Finds the run that holds frame number keep - 1 of the stack before, and so the address that goes before."""
        while self.runs and self.runs[-1][1] >= keep:
            self.runs.pop()
        before = 0
        if self.runs:
            base, base_keep, base_first = self.runs[-1]
            self.base[row] = base
            before = int(self.sums[base_first + keep - 1 - base_keep]) + int(self.shift[base])
        self.first[row] = position
        self.shift[row] = (before - int(self.sums[position - 1])) & _LOW
        if self.length[row]:
            self.runs.append((row, keep, position))

    def _addresses(self) -> Words:
        total = int(self.length.sum())
        run_start = np.cumsum(self.length) - self.length
        index = np.arange(total, dtype=np.int64) + np.repeat(self.first - run_start, self.length)
        pcs: Words = self.sums[index] + np.repeat(self.shift, self.length)
        return pcs
