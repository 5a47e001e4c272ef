# SPDX-License-Identifier: Apache-2.0
"""Names inside XML: escaped, and without what no XML document may hold."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from heaptide.render.harmless import harmless

_NO_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""Halves of characters, which is how bytes that are no UTF-8 are read, and two that are none."""


def marked_up(text: str) -> str:
    """One line of text as the content of an element or of an attribute, on one line and without control characters."""
    return escape(_NO_XML.sub("\ufffd", harmless(text)), {'"': "&quot;"})
