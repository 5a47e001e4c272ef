# SPDX-License-Identifier: Apache-2.0
"""Symbol names as a person writes them: C++ (Itanium), Rust v0 and Rust legacy; anything else passes through."""

from __future__ import annotations

import ctypes
import re
from functools import cache, lru_cache

import pycxxfilt

MAX_MANGLED = 1 << 16
"""Characters. A longer name is shown raw: no compiler writes one, and a forged one may unfold without end."""

_CLONE = re.compile(
    r"(?:\.(?:cold|isra|part|constprop|lto_priv|localalias|ipa_ra|simdclone|llvm|__uniq)(?:\.[0-9]+)*)+$"
)
_NUMBERED = re.compile(r"(?:\.[0-9]+)+$")  # rustc's clones; a C name with a number is another function (`inner.0`)
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}(?=$|\s)")
_RUST_ESCAPE = re.compile(r"\$(?:(SP|BP|RF|LT|GT|LP|RP|C)|u([0-9a-f]{1,6}))\$")
_RUST_SIGNS = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}


@lru_cache(maxsize=1 << 16)
def demangle(name: str) -> str:
    """The readable form of a symbol; the name itself when it is not mangled or does not demangle.

    A symbol's version (`foo@@V1`) is dropped, and so are the marks of compiler-made clones (`.cold`, `.isra.0`): they
    are parts of one function of the source, and must add up as one. `@plt` stays.
    """
    if len(name) > MAX_MANGLED:
        return name
    base, at, suffix = name.partition("@")
    tail = "@plt" if at and suffix.endswith("plt") else ""
    return _demangle(_CLONE.sub("", base) or base) + tail


def _demangle(name: str) -> str:
    try:
        if name.startswith("_R"):
            return pycxxfilt.rust_demangle(_NUMBERED.sub("", name)) or name
        if name.startswith(("_Z", "__Z", "___Z", "____Z")):
            return _rust_legacy(pycxxfilt.itanium_demangle(_NUMBERED.sub("", name)) or name)
    except ValueError:
        return _by_cxx_runtime(name) or name
    return name


def _by_cxx_runtime(name: str) -> str | None:
    """The C++ runtime's own demangler, for the one name in a hundred that LLVM's refuses (old forms of GCC's)."""
    runtime = _cxx_runtime()
    if runtime is None or not name.startswith("_Z"):
        return None
    found: int | None = runtime.__cxa_demangle(name.encode(), None, None, None)
    if not found:
        return None
    readable = ctypes.string_at(found).decode("utf-8", "replace")
    ctypes.CDLL(None).free(ctypes.c_void_p(found))
    return readable


@cache
def _cxx_runtime() -> ctypes.CDLL | None:
    try:
        runtime = ctypes.CDLL("libstdc++.so.6")
        runtime.__cxa_demangle.restype = ctypes.c_void_p
        runtime.__cxa_demangle.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    except (OSError, AttributeError):
        return None
    return runtime


def _rust_legacy(name: str) -> str:
    """Old Rust symbols are C++ names with a hash at the end and `$LT$` for `<`; C++ ones pass through."""
    bare, hashes = _RUST_HASH.subn("", name)
    if not hashes:
        return name
    bare = _RUST_ESCAPE.sub(_rust_sign, bare).replace("..", "::")
    return re.sub(r"(^|::|<)_(?=[<&*(\[])", r"\1", bare)


def _rust_sign(match: re.Match[str]) -> str:
    if match[1]:
        return _RUST_SIGNS[match[1]]
    code = int(match[2], 16)
    return chr(code) if 0x20 <= code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else match[0]
