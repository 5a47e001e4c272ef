# SPDX-License-Identifier: Apache-2.0
"""Names inside XML: escaped, and without what no XML document may hold."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from heaptide.render.harmless import harmless

NO_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""Halves of characters, which is how bytes that are no UTF-8 are read, and two that are none."""


def drawable(text: str) -> str:
    """One line of text that a program which draws it, or writes it as UTF-8, can take: without halves of characters."""
    return NO_XML.sub("\ufffd", harmless(text))


def marked_up(text: str) -> str:
    """The same as the content of an element or of an attribute."""
    return escape(drawable(text), {'"': "&quot;"})
