# SPDX-License-Identifier: Apache-2.0
"""The watch that is kept over every tab sees what it is there to see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.accessibility import findings
from tests.browser.visits import Visit

POLICY = "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'; img-src https:\">"
FAULTS = {
    "console, error: said": "<script>console.error('said')</script>",
    "uncaught: ": "<script>null.nothing</script>",
    "dialog: hello": "<script>alert('hello')</script>",
    "request: https://elsewhere.test/": "<img src='https://elsewhere.test/picture.png'>",
    "policy: img-src": "<img src='data:image/png;base64,AAAA'>",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(visit: Callable[..., Visit], tmp_path: Path, fault: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html>{POLICY}<title>page</title><p>words</p>{FAULTS[fault]}", encoding="utf-8")
    tab = visit(page)
    tab.expect_fault(fault)
    with pytest.raises(AssertionError, match=fault):
        tab.check()
    tab.faults.clear()


def test_a_page_without_fault(visit: Callable[..., Visit], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html>{POLICY}<title>page</title><p>words</p><script>1 + 1</script>", encoding="utf-8")
    visit(page).check()


def test_axe_sees_what_is_wrong(visit: Callable[..., Visit], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>page</title><p style='color:#aaa;background:#fff'>pale</p><img>")
    found = "\n".join(findings(visit(page).page))
    assert all(rule in found for rule in ("html-has-lang", "image-alt", "color-contrast")), found
