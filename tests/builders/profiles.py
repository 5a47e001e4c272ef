# SPDX-License-Identifier: Apache-2.0
"""Small profiles with known answers, written as stacks of names.

    profile = a_profile({"malloc@allocator work main": 100, "main": 20})

A word is FUNCTION[@ROLE][:LINE][+] (``+``: inlined into the next one) or ``0xADDRESS`` for code without a name; the
leaf comes first. Each function has a file of its own, ``/src/main.c`` for ``main``; everything lies in /bin/prog.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from heaptide._types import Address
from heaptide.model import Frame, Profile, Role, Series, Snapshot, StackTableBuilder

_WORD = re.compile(r"(?P<function>[^@:+]+)(@(?P<role>\w+))?(:(?P<line>\d+))?(?P<inlined>\+)?")
MODULE = "/bin/prog"


def a_frame(word: str) -> Frame:
    if word.startswith("0x"):
        address = Address(int(word, 16))
        return Frame(None, None, None, MODULE, address, unresolved=f"stripped: no symbol covers {address:#x}")
    match = _WORD.fullmatch(word)
    assert match is not None, word
    function, role, line = match["function"], match["role"] or "user", match["line"]
    return Frame(
        function,
        f"/src/{function}.c",
        int(line) if line else 1,
        MODULE,
        Address(0x1000 + sum(map(ord, word))),
        inlined=bool(match["inlined"]),
        role=a_role(role),
    )


def a_role(text: str) -> Role:
    assert text in ("user", "allocator", "runtime", "container", "agent")
    return text  # type: ignore[return-value]


def a_profile(
    stacks: Mapping[str, int], *, errors: Mapping[str, float] | None = None, is_difference: bool = False
) -> Profile:
    """Bytes in use by stack; one block for each 10 bytes, and twice as much was allocated. ``errors``: deviations."""
    builder = StackTableBuilder()
    for stack in stacks:
        builder.add([a_frame(word) for word in stack.split()])
    space = np.array(list(stacks.values()), np.int64)
    values = {
        "alloc_objects": space // 5,
        "alloc_space": space * 2,
        "inuse_objects": space // 10,
        "inuse_space": space,
    }
    deviation = np.array([(errors or {}).get(stack, 0.0) for stack in stacks])
    variance = {"inuse_space": deviation**2, "alloc_space": 2 * deviation**2} if errors else {}
    return Profile(
        builder.table(),
        values,
        mode="sampled" if errors else "exact",
        variance=variance,
        is_difference=is_difference,
    )


def a_series(profile: Profile, path: str = "/tmp/prog.1.tide") -> Series:
    """A series whose only snapshot is ``profile``."""

    class Source:
        def profile(self, index: int) -> Profile:
            assert index == 0
            return profile

    in_use = int(profile.total("inuse_space"))
    moment = Snapshot(1, "exit", 1_795_000_000_000_000_000, 12.3, in_use, int(profile.total("alloc_space")))
    return Series(path, profile.mode, [moment], Source(), command=("/bin/prog",), pid=1)
