# SPDX-License-Identifier: Apache-2.0
"""Names for the page: harmless, of bounded length, each stored once.

Names come out of files that anybody may have made. What leaves here has no control character, no change of writing
direction and nothing that UTF-8 cannot say; it is still text, to be set as text and never as HTML.
"""

from __future__ import annotations

import re

from heaptide.render.harmless import harmless

LONGEST = 2000
"""Characters of a name; of a longer one the middle is left out."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """A text of any origin as the page may hold it."""
    return _SURROGATE.sub(_as_byte, harmless(shortened(text)))


def shortened(text: str, longest: int = LONGEST) -> str:
    """Its beginning and its end, with the number of characters that are left out between them."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} ... {len(text) - 2 * half:,} characters left out ... {text[-half:]}"


def _as_byte(found: re.Match[str]) -> str:
    """Bytes that were no UTF-8 stand as U+DC80 to U+DCFF."""
    code = ord(found[0])
    return f"\\x{code & 0xFF:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


class Strings:
    """A table of texts. Texts that differ before they are cleaned stay apart: one name never stands for two places."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._index: dict[str, int] = {}

    def index(self, text: str) -> int:
        """Where the text stands, from 0; it is added when it is new."""
        place = self._index.get(text)
        if place is None:
            place = self._index[text] = len(self.texts)
            self.texts.append(clean(text))
        return place

    def number(self, text: str | None) -> int:
        """As `index`, from 1; 0 for none."""
        return 0 if text is None else self.index(text) + 1
