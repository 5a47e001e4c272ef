# SPDX-License-Identifier: Apache-2.0
"""axe-core on a page: what people with a screen reader, without a mouse or with weak eyes would trip over.

axe.min.js comes with PyPI's axe-playwright-python (0.1.8 has axe-core 4.12.1); nothing is fetched.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Locator, Page

_RUN = "(place) => axe.run(place, {resultTypes: ['violations']}).then((found) => found.violations)"


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def findings(place: Page | Locator, *impacts: str) -> list[str]:
    """What axe-core's default rules find wrong now, of these impacts: `minor`, `moderate`, `serious`, `critical`."""
    page, root = (place, place.locator("html")) if isinstance(place, Page) else (place.page, place)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {_axe()} }}")
    violations: list[dict[str, Any]] = root.evaluate(_RUN)
    return [
        f"{rule['impact']}: {rule['id']}, {rule['help']}: {node['html'][:200]}\n  {node['failureSummary']}"
        for rule in violations
        if rule["impact"] in impacts
        for node in rule["nodes"]
    ]
