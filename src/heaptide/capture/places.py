# SPDX-License-Identifier: Apache-2.0
"""From the addresses of a stack to places in modules, by what was mapped when the stack was recorded.

The order of the file is the order in which things became true: a MODULE or UNLOAD record holds for the stacks behind
it. So an address that was used twice, for a library that was unloaded and another one after it, is told apart without
clocks.
"""

from bisect import bisect_right
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from heaptide.capture import format as fmt
from heaptide.capture.records import ModuleRecord, Record, StacksRecord, UnloadRecord

_MAX_MODULES = 65536
"""More mappings than Linux gives a process (vm.max_map_count); what is beyond is an attack."""

_MAX_FRAMES = 32_000_000
_LEAF_FRAMES = 16
"""Stacks share their roots in the file, and do so no more here. When so many frames were laid out, those that follow
keep their leaf-most frames, so that memory is bounded whatever a file claims."""


class Place(NamedTuple):
    """Where one frame of a stack is. The call itself is meant: 1 was subtracted from the return address already."""

    module: int
    """`offset` of the MODULE record; 0 when no module was mapped there."""
    vaddr: int
    """As the module's file numbers it; without a module as it was in memory."""


@dataclass(frozen=True, slots=True)
class PlacedStack:
    """A stack, leaf first."""

    places: tuple[Place, ...]
    truncated: bool
    """Its root is missing: it was deeper than the agent records, or than memory allows here."""


class Mappings:
    """The modules that are mapped at one moment: disjoint ranges, kept in order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._modules: list[ModuleRecord] = []
        self._by_number: dict[int, ModuleRecord] = {}
        self.agent: set[int] = set()
        """`offset` of every record of the agent's own module."""

    def add(self, module: ModuleRecord) -> None:
        """Maps a module. What it overlaps was unmapped without our seeing it."""
        if len(self._modules) >= _MAX_MODULES:
            return
        first = bisect_right(self._starts, module.start)
        if first and self._modules[first - 1].end > module.start:
            first -= 1
        last = first
        while last < len(self._modules) and self._modules[last].start < module.end:
            last += 1
        self._starts[first:last] = [module.start]
        self._modules[first:last] = [module]
        self._by_number[module.module] = module
        if module.flags & fmt.MODULE_AGENT:
            self.agent.add(module.offset)

    def remove(self, number: int) -> None:
        """Unmaps the module of this number, if it is there."""
        module = self._by_number.pop(number, None)
        if module is not None and self.find(module.start) is module:
            index = bisect_right(self._starts, module.start) - 1
            del self._starts[index], self._modules[index]

    def find(self, address: int) -> ModuleRecord | None:
        """The module that is mapped at this address."""
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._modules[index].end:
            return None
        return self._modules[index]


def place_stacks(records: Iterable[Record], wanted: Container[int]) -> dict[int, PlacedStack]:
    """The wanted stacks by id, in one walk over the records. Frames of the agent itself are left out.

    A stack that is recorded twice (which a sound capture does not do) is as it was first.
    """
    mappings = Mappings()
    known: dict[int, Place] = {}
    stacks: dict[int, PlacedStack] = {}
    frames_left = _MAX_FRAMES
    for record in records:
        if isinstance(record, ModuleRecord):
            mappings.add(record)
            known.clear()
        elif isinstance(record, UnloadRecord):
            mappings.remove(record.module)
            known.clear()
        elif isinstance(record, StacksRecord):
            for row, stack_id in enumerate(record.ids.tolist()):
                if stack_id in wanted and stack_id not in stacks:
                    addresses = record.addresses(row, fmt.MAX_DEPTH if frames_left > 0 else _LEAF_FRAMES)
                    frames_left -= len(addresses)
                    cut = bool(int(record.flags[row]) & fmt.STACK_TRUNCATED) or len(addresses) < record.depth(row)
                    stacks[stack_id] = PlacedStack(_places(addresses, mappings, known), cut)
    return stacks


def _places(addresses: list[int], mappings: Mappings, known: dict[int, Place]) -> tuple[Place, ...]:
    places = []
    for pc in addresses:
        place = known.get(pc)
        if place is None:
            place = known[pc] = _place(pc - 1, mappings)
        places.append(place)
    own = [place for place in places if place.module not in mappings.agent]
    return tuple(own or places)


def _place(address: int, mappings: Mappings) -> Place:
    module = mappings.find(address)
    return Place(0, max(address, 0)) if module is None else Place(module.offset, (address - module.bias) & 2**64 - 1)
