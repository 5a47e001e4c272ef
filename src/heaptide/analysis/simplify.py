# SPDX-License-Identifier: Apache-2.0
"""C++ names as pprof shows them: without parameters and template arguments."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from heaptide.model import Frame, Profile, StackTable

_OPERATOR = re.compile(r"operator\s*(?:\(\)|\[\]|->\*?|<=>|<<=?|>>=?|<=?|>=?)")
_KEPT_PARENTHESES = ("(anonymous namespace)",)


def simplified(profile: Profile) -> Profile:
    """The same profile with simple function names; frames that become equal are not joined."""
    frames = [_simple_frame(frame) for frame in profile.stacks.frames]
    return replace(profile, stacks=StackTable(frames, profile.stacks.stacks))


def _simple_frame(frame: Frame) -> Frame:
    if frame.function is None:
        return frame
    name = simple_name(frame.function)
    return frame if name == frame.function else replace(frame, function=name)


@lru_cache(maxsize=1 << 16)
def simple_name(name: str) -> str:
    """``std::vector<int>::push_back(int const&)`` becomes ``std::vector::push_back``; what does not parse stays."""
    if "(" not in name and "<" not in name:
        return name
    kept, depth, i = [], 0, 0
    while i < len(name):
        special = _special_at(name, i)
        if special:
            if depth == 0:
                kept.append(special)
            i += len(special)
            continue
        letter = name[i]
        if letter in "<(":
            if letter == "(" and depth == 0:
                return _without_return_type("".join(kept)) or name
            depth += 1
        elif letter in ">)":
            depth -= 1
        elif depth == 0:
            kept.append(letter)
        i += 1
    return ("".join(kept) if depth == 0 else name) or name


def _special_at(name: str, i: int) -> str:
    """What begins at ``i`` and has brackets that do not nest: an operator's name, ``(anonymous namespace)``."""
    if name.startswith("operator", i) and (i == 0 or not (name[i - 1].isalnum() or name[i - 1] == "_")):
        match = _OPERATOR.match(name, i)
        return match[0] if match else ""
    return next((kept for kept in _KEPT_PARENTHESES if name.startswith(kept, i)), "")


def _without_return_type(name: str) -> str:
    """Instances of function templates are demangled with their return type in front; conversions have a blank too."""
    if "operator" in name:
        return name.strip()
    hidden = name.replace("(anonymous namespace)", "(anonymous\0namespace)")
    return hidden.rpartition(" ")[2].replace("\0", " ")
