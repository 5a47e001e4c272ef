# SPDX-License-Identifier: Apache-2.0
"""C++ names as pprof shows them: without parameters and template arguments."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from heaptide.model.columns import Columns

Names = Literal["simple", "templates", "full", "none"]
"""Without parameters and template arguments; without parameters; demangled and no more; as the file has them."""

_OPERATOR = re.compile(r"operator\s*(?:\(\)|\[\]|->\*?|<=>|<<=?|>>=?|<=?|>=?)")
_KEPT_PARENTHESES = ("(anonymous namespace)",)


def with_names(columns: Columns, names: Names, demangle: Callable[[str], str]) -> Columns:
    """The same with functions' names written as asked. One that differs from the linker's is a person's: it stays."""
    if names == "none":
        return columns
    functions = columns.functions
    written = {}
    for name, system in set(zip(functions.name, functions.system_name, strict=True)):
        if name and name != system and system:
            written[name, system] = name
        else:
            plain = demangle(system or name)
            written[name, system] = plain if names == "full" else simple_name(plain, names == "templates")
    new = [written[key] for key in zip(functions.name, functions.system_name, strict=True)]
    return replace(columns, functions=replace(functions, name=new))


@lru_cache(maxsize=1 << 16)
def simple_name(name: str, templates: bool = False) -> str:
    """``std::vector<int>::push_back(int const&)`` becomes ``std::vector::push_back``; what does not parse stays.

    ``templates``: template arguments are kept.
    """
    if "(" not in name and "<" not in name:
        return name
    kept: list[str] = []
    depth = i = begin = 0
    while i < len(name):
        text = _special_at(name, i) or name[i]
        if text == "(" and depth == 0:
            return "".join(kept[begin:]).strip() or name
        depth += (text in ("<", "(")) - (text in (">", ")"))
        if templates or (depth == 0 and text not in (">", ")")):
            kept.append(text)
        if text == " " and depth == 0 and "operator" not in name:
            begin = len(kept)  # instances of function templates are demangled with their return type in front
        i += len(text)
    return ("".join(kept) if depth == 0 else name) or name


def _special_at(name: str, i: int) -> str:
    """What begins at ``i`` and has brackets that do not nest: an operator's name, ``(anonymous namespace)``."""
    if name.startswith("operator", i) and (i == 0 or not (name[i - 1].isalnum() or name[i - 1] == "_")):
        match = _OPERATOR.match(name, i)
        return match[0] if match else ""
    return next((kept for kept in _KEPT_PARENTHESES if name.startswith(kept, i)), "")
