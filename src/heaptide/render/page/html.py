# SPDX-License-Identifier: Apache-2.0
"""Puts things into the template that the front end's build leaves (`app.html`), and says what its scripts may do."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib import resources

from heaptide._errors import NothingToShow

_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_TYPE = re.compile(r"""\btype\s*=\s*["']?([^"'\s>]*)""", re.IGNORECASE)
_RUNS = frozenset({"", "module", "text/javascript", "application/javascript"})
_SERVED = '<meta name="heaptide-serve" content="1">'


def template() -> str:
    """The page as it was built. NothingToShow in a work tree where it was not."""
    file = resources.files("heaptide.render.page").joinpath("app.html")
    if not file.is_file():
        raise NothingToShow("the page is not built here", hint="build it: make page")
    return file.read_text(encoding="utf-8")


def policy(page: str, *, connect: bool = False) -> str:
    """The Content-Security-Policy of a page: its own inline scripts by their hashes, and nothing from anywhere else.

    Args:
        page: the HTML, scripts in place.
        connect: its scripts may ask the server that it came from.
    """
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(body.encode('utf-8')).digest()).decode('ascii')}'"
        for attributes, body in _SCRIPT.findall(page)
        if _runs(attributes)
    ]
    rules = {
        "default-src": "'none'",
        "script-src": " ".join([*hashes, "'wasm-unsafe-eval'", "blob:"]),
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        **({"connect-src": "'self'"} if connect else {}),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def report(page: str, *, title: str, words: str, data: bytes) -> bytes:
    """One file that opens from disk.

    Args:
        page: the template.
        title: text.
        words: HTML, what can be read without scripts.
        data: the document.
    """
    whole = base64.b64encode(data).decode("ascii")
    script = f'<script type="application/octet-stream" id="heaptide-document">{whole}</script>'
    meta = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy(page))}">'
    return _filled(page, {"title": html.escape(title), "policy": meta, "words": words, "document": script})


def served(page: str) -> tuple[bytes, str]:
    """What a server answers for its page: the template without a document, and the policy for its header."""
    filled = _filled(page, {"title": "heaptide", "policy": _SERVED, "words": "", "document": ""})
    return filled, policy(page, connect=True) + "; frame-ancestors 'none'"


def _filled(page: str, parts: dict[str, str]) -> bytes:
    """The template with its places taken. Split before anything is put in: no part can pretend to be a place."""
    pieces = re.split(r"<!--heaptide:(title|policy|words|document)-->", page)
    out = [part if place % 2 == 0 else parts[part] for place, part in enumerate(pieces)]
    return "".join(out).encode("utf-8")


def _runs(attributes: str) -> bool:
    """Whether a script of these attributes stands in the page and is run; others hold data."""
    kind = _TYPE.search(attributes)
    return not re.search(r"\bsrc\s*=", attributes) and (kind[1].lower() if kind else "") in _RUNS
