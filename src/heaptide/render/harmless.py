# SPDX-License-Identifier: Apache-2.0
"""Text from files that anybody may have made (names of functions, files, modules), made safe for a terminal.

On its own, for messages need it before anything else of `render` is loaded.
"""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udc9f]")
"""C0 and C1 (as code points, and as bytes that are no UTF-8), line separators, changes of writing direction."""


LONGEST = 2000
"""Characters. Names of templates come in thousands; one of a hundred thousand is an accident, or meant to do harm."""


def harmless(text: str) -> str:
    """The text on one line with every control character written out: ``\\x1b[31m`` for what would colour the rest.

    Of what is longer than `LONGEST` the middle is left out.
    """
    return _CONTROL.sub(_written_out, shortened(text))


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning and end with the number of characters that are left out between them."""
    if len(text) <= longest:
        return text
    half = (longest - 40) // 2
    return f"{text[:half]}[... {len(text) - 2 * half} characters left out ...]{text[-half:]}"


def harmless_lines(text: str) -> str:
    """The same, with its line breaks kept."""
    return "\n".join(harmless(line) for line in text.split("\n"))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if 0x100 <= code < 0xDC80 else f"\\x{code & 0xFF:02x}"
