# SPDX-License-Identifier: Apache-2.0
"""Names that an enemy chose stay text, in the report and on the server's page, in every view of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import hostile
from tests.browser.commands import done, heaptide
from tests.browser.conftest import Recordings
from tests.browser.looking import drag
from tests.browser.serving import served
from tests.browser.visits import Visit
from tests.builders.hostile import a_capture

SPOTS = f"""() => ({{
    mark: window.{hostile.MARK} ?? null,
    strangers: [...document.querySelectorAll("{hostile.MARK}, img, iframe, object, embed, base, form, foreignObject")]
        .map((element) => element.outerHTML.slice(0, 200)),
    handlers: [...document.querySelectorAll("*")].flatMap((element) => [...element.attributes]
        .filter(({{name, value}}) => name.startsWith("on") || (name !== "title" && /^(java|http)\\w*:/i.test(value)))
        .map(({{name, value}}) => `${{element.tagName}} ${{name}}=${{value.slice(0, 100)}}`)),
    links: [...document.links].map((link) => link.getAttribute("href")).filter((href) => !href.startsWith("#")),
    width: document.documentElement.scrollWidth - innerWidth,
    height: document.documentElement.scrollHeight,
    text: document.body.innerText,
    title: document.title,
}})"""
COMMANDING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that would command a terminal into which text is copied, or turn its direction."""


def expect_harmless(page: Page) -> None:
    found = page.evaluate(SPOTS)
    assert found["mark"] is None
    assert not found["strangers"] and not found["handlers"] and not found["links"], found
    assert found["width"] <= 0, "the page became wider than its window"
    assert found["height"] < 20_000, "a name made the page so high that nothing is found on it"
    assert not COMMANDING.search(found["text"] + found["title"])


def visit_everything(page: Page) -> None:
    """Every tab and what else puts names on the page, looked at each time."""
    expect(page.get_by_role("tablist")).to_be_visible()
    expect_harmless(page)
    tabs = page.get_by_role("tab").locator("visible=true")
    for number in range(tabs.count()):
        tabs.nth(number).click()
        expect(tabs.nth(number)).to_have_attribute("aria-selected", "true")
        if tabs.nth(number).inner_text() == "Call graph":
            expect(page.get_by_role("application").locator("svg")).to_be_visible()
        expect_harmless(page)
    for summary in page.locator("summary:visible").all():
        summary.click()
    expect_harmless(page)


def test_names_of_a_program(visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings) -> None:
    page = visit(reports[recordings.hostile]).page
    visit_everything(page)
    drag(page, 0.3, 0.7)
    page.get_by_role("tab", name="Table").click()
    page.get_by_role("searchbox", name="Filter rows").fill(f"window.{hostile.MARK}=1")
    expect(page.get_by_role("gridcell", name=hostile.FUNCTIONS[0])).to_be_visible()
    page.get_by_role("gridcell", name=hostile.FUNCTIONS[0]).dblclick()
    expect(page.get_by_role("tree", name="Flame graph")).to_be_visible()
    expect_harmless(page)
    assert page.get_by_text(hostile.FUNCTIONS[0]).count() > 0


def test_names_without_scripts(visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings) -> None:
    page = visit(reports[recordings.hostile], java_script_enabled=False).page
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.locator(f"{hostile.MARK}, img, iframe, svg").count() == 0
    assert page.get_by_text(hostile.FUNCTIONS[0]).count() > 0


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Path]:
    """A capture that no program could leave: modules, command, notes and symbols of the worst kind."""
    yield a_capture(tmp_path)


def test_names_of_a_written_capture(visit: Callable[..., Visit], written: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done(heaptide("report", written, "-o", report))
    visit_everything(visit(report).page)


def test_names_on_the_server(visit: Callable[..., Visit], recordings: Recordings) -> None:
    with served(recordings.hostile, cwd=recordings.hostile.parent) as address:
        tab = visit(address, offline=False)
        visit_everything(tab.page)
        tab.leave()


def test_the_policy_holds(visit: Callable[..., Visit], reports: dict[Path, Path], recordings: Recordings) -> None:
    """Had a name become markup after all, its script would not run, and nothing could be sent anywhere."""
    tab = visit(reports[recordings.exact], offline=False)
    expect(tab.page.get_by_role("tablist")).to_be_visible()
    tried = tab.page.evaluate(
        """async () => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            const button = document.createElement("button");
            button.setAttribute("onclick", "window.ran = true");
            document.body.append(button);
            button.click();
            const sent = await fetch("http://127.0.0.1:9/").then(() => "sent", (error) => String(error));
            return [window.ran ?? null, sent];
        }"""
    )
    assert tried[0] is None
    assert "Failed to fetch" in tried[1]
    for part in ("script-src-elem", "script-src-attr", "connect-src"):
        tab.expect_fault(f"policy: {part}")
    assert not any(url.startswith("http") for url in tab.requests)
    tab.forgive("console, error")
