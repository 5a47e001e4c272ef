# SPDX-License-Identifier: Apache-2.0
"""axe-core on a page: what people with a screen reader, without a mouse or with weak eyes would trip over.

axe.min.js comes with PyPI's axe-playwright-python (0.1.8 has axe-core 4.12.1); nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from playwright.sync_api import Locator, Page

COLOURS = ("color-contrast", "link-in-text-block")
"""The rules whose answer depends on the theme."""

_RUN = """(place, rules) => axe.run(place, {
    resultTypes: ["violations"],
    ...(rules.length ? {runOnly: {type: "rule", values: rules}} : {}),
}).then((found) => found.violations)"""


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def findings(place: Page | Locator, *, rules: Sequence[str] = ()) -> list[str]:
    """What axe-core finds wrong now that it calls serious or critical; by its default rules, or by some of them."""
    page, root = (place, place.locator("html")) if isinstance(place, Page) else (place.page, place)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {_axe()} }}")
    violations: list[dict[str, Any]] = root.evaluate(_RUN, list(rules))
    return [
        f"{rule['impact']}: {rule['id']}, {rule['help']}: {node['html'][:200]}\n  {node['failureSummary']}"
        for rule in violations
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]
