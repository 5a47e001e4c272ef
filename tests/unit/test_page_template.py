# SPDX-License-Identifier: Apache-2.0
"""The page's template in the tree is the one that page/ builds."""

from __future__ import annotations

import re

from tools import build_page, page_vectors


def test_template_was_built_from_the_sources_beside_it() -> None:
    html = build_page.TEMPLATE.read_text()
    assert build_page.stamped_hash(html) == build_page.sources_hash(), "page/ changed: run `make page` and commit"


def test_template_has_each_place_once() -> None:
    html = build_page.TEMPLATE.read_text()
    assert {mark: html.count(f"<!--heaptide:{mark}-->") for mark in build_page.MARKS} == dict.fromkeys(
        build_page.MARKS, 1
    )


def test_template_fetches_nothing() -> None:
    html = build_page.TEMPLATE.read_text()
    head, _, graphviz = html.partition('<script type="text/plain" id="heaptide-graphviz">')
    assert "</script>" in graphviz
    assert re.findall(r"<(?:script|img|link|iframe)[^>]*\b(?:src|href)=[\"'](?!data:)", head) == []
    assert re.findall(r"@import|url\((?!['\"]?data:)", head) == []


def test_lock_file_names_no_host() -> None:
    lock = (build_page.PAGE / "package-lock.json").read_text()
    assert '"resolved"' not in lock


def test_vectors_are_what_python_says() -> None:
    """`make page` compares the page's own numbers and moments with them."""
    assert page_vectors.VECTORS.read_text() == page_vectors.text(), (
        "run: python -m tools.page_vectors, then `make page`"
    )
