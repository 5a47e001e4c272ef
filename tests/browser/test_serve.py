# SPDX-License-Identifier: Apache-2.0
"""`heaptide serve` as a browser meets it. What only raw requests can try is in tests/integration/test_serve.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, StorageState, expect

from heaptide.render import units
from tests.browser.accessibility import COLOURS, findings
from tests.browser.conftest import STRANGER, Recordings
from tests.browser.looking import open_tab
from tests.browser.serving import recording, served
from tests.browser.visits import Visit

HERE = Path(__file__).resolve().parent
REFUSED = "console, error: Failed to load resource"
"""What Chromium writes to the console when a request is refused: meant, in these tests."""


@dataclass(frozen=True)
class Entered:
    """A server that shows the exact and the sampled capture, and a browser's way in: its address was used."""

    origin: str
    state: StorageState


@pytest.fixture(scope="module")
def entered(recordings: Recordings, browser: Browser) -> Iterator[Entered]:
    with serving(recordings) as address:
        context = browser.new_context()
        context.new_page().goto(address)
        state = context.storage_state()
        context.close()
        yield Entered(origin(address), state)


@pytest.fixture
def tab(entered: Entered, visit: Callable[..., Visit]) -> Visit:
    return visit(entered.origin, offline=False, accept_downloads=True, storage_state=entered.state)


def serving(recordings: Recordings) -> AbstractContextManager[str]:
    folder = recordings.exact.parent
    return served(recordings.exact, recordings.sampled, "--source-path", HERE, cwd=folder)


def origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def heading(page: Page) -> Any:
    return page.get_by_role("heading", level=1).filter(has_text="shop::open_session(int)").first


def test_the_token_is_exchanged_once(recordings: Recordings, visit: Callable[..., Visit]) -> None:
    with serving(recordings) as address:
        tab = visit(address, offline=False)
        check_exchange(tab, address, visit)
        tab.leave()


def check_exchange(tab: Visit, address: str, visit: Callable[..., Visit]) -> None:
    expect(heading(tab.page)).to_be_visible()
    assert "token" in address and tab.page.url.partition("#")[0] == origin(address) + "/"
    (cookie,) = tab.page.context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/"
    assert cookie["value"] not in address
    assert tab.page.evaluate("() => document.cookie") == ""
    tab.page.reload()
    expect(heading(tab.page)).to_be_visible()
    for again in (address, origin(address) + "/?token=guessed", origin(address)):
        stranger = visit(again, offline=False)
        expect(stranger.page.get_by_text("refused")).to_be_visible()
        expect(heading(stranger.page)).to_be_hidden()
        stranger.forgive(REFUSED)
        stranger.leave()


def test_a_foreign_name_for_this_machine(tab: Visit, entered: Entered) -> None:
    """DNS rebinding: the browser is made to believe that an enemy's name is this machine."""
    expect(heading(tab.page)).to_be_visible()
    other = tab.page.context.new_page()
    answer = other.goto(f"http://{STRANGER}:{urlsplit(entered.origin).port}/api/captures")
    assert answer is not None and answer.status == 421


def test_a_foreign_page_asks(tab: Visit, entered: Entered) -> None:
    """Another page in the browser that holds the cookie gets nothing, whatever way it asks."""
    expect(heading(tab.page)).to_be_visible()
    other = tab.page.context.new_page()
    other.route(
        f"http://{STRANGER}/", lambda route: route.fulfill(body="<title>enemy</title>", content_type="text/html")
    )
    other.goto(f"http://{STRANGER}/")
    answers: list[Response] = []
    other.on("response", lambda answer: answers.append(answer))
    target = f"{entered.origin}/api/captures"
    ask = """async ([target, mode]) => {
        try { return await (await fetch(target, {mode, credentials: "include"})).text(); } catch (error) { return ""; }
    }"""
    for mode in ("cors", "no-cors"):
        assert other.evaluate(ask, [target, mode]) == ""
    load = """([tag, target]) => new Promise((done) => {
        const element = document.createElement(tag);
        element.onload = () => done("loaded");
        element.onerror = () => done("refused");
        element.src = target;
        document.body.append(element);
    })"""
    for tag in ("img", "script"):
        assert other.evaluate(load, [tag, target]) == "refused"
    assert all(answer.status == 403 for answer in answers), [(answer.url, answer.status) for answer in answers]


def test_no_path_leads_out(tab: Visit, entered: Entered) -> None:
    expect(heading(tab.page)).to_be_visible()
    ask = tab.page.context.request
    base = entered.origin
    (capture, *_) = ask.get(f"{base}/api/captures").json()
    for path in (
        "/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/api/page/..%2f..%2fetc%2fpasswd",
        f"/api/source/{capture['id']}?file=..%2f..%2f..%2fetc%2fpasswd",
        f"/api/source/{capture['id']}?file=/etc/passwd",
        f"/api/source/{capture['id']}?file=99999",
        f"/api/download/{capture['id']}?to=..%2f..%2fetc%2fpasswd",
    ):
        answer = ask.get(base + path, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status in {400, 404}, path
        assert "root:" not in answer.text()


def test_a_capture_that_grows(visit: Callable[..., Visit], recordings: Recordings, tmp_path: Path) -> None:
    capture = tmp_path / "growing.tide"
    with recording(recordings.program, capture, 90), served(capture, cwd=tmp_path) as address:
        tab = visit(address, offline=False)
        page = tab.page
        expect(page.get_by_text("Recording goes on")).to_be_visible()
        numbers = [last_snapshot(page)]
        for _ in range(2):
            expect(page.get_by_role("slider", name="At", exact=True)).not_to_have_attribute(
                "aria-valuetext", re.compile(rf"^#{numbers[-1]} ")
            )
            numbers.append(last_snapshot(page))
        tab.leave()
    assert numbers[0] < numbers[1] < numbers[2]


def last_snapshot(page: Page) -> int:
    """Number of the snapshot at which what is shown ends."""
    text = page.get_by_role("slider", name="At", exact=True).get_attribute("aria-valuetext") or ""
    found = re.match(r"#(\d+) ", text)
    assert found, text
    return int(found[1])


def test_source_lines(tab: Visit, recordings: Recordings, ask: Callable[..., Any]) -> None:
    page = tab.page
    page.get_by_role("tab", name="Source").click()
    page.get_by_label("File", exact=True).select_option(label=str(HERE / "shop.cpp"))
    rows = ask("top", recordings.exact, "--by", "line", "--json")["rows"]
    leak = max((row for row in rows if row["function"].startswith("shop::open_session")), key=lambda row: row["flat"])
    line = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=str(leak["line"]), exact=True))
    expect(line).to_contain_text("session->state.resize(2000);")
    expect(line).to_contain_text(units.size(leak["flat"]))


def test_download(tab: Visit, recordings: Recordings, ask: Callable[..., Any], tmp_path: Path) -> None:
    """What is downloaded is the profile that is shown: read again, it has the same total."""
    page = tab.page
    expect(heading(page)).to_be_visible()
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as coming:
        page.get_by_role("button", name=re.compile("profile.proto|pprof")).first.click()
    saved = tmp_path / coming.value.suggested_filename
    coming.value.save_as(saved)
    shown = ask("top", recordings.exact, "--json")["total"]
    assert ask("top", saved, "--json")["total"] == shown


def test_side_by_side(tab: Visit, recordings: Recordings) -> None:
    page = tab.page
    page.get_by_label("beside").select_option(label=recordings.sampled.name)
    expect(page.get_by_role("heading", level=1).filter(has_text="shop::open_session(int)")).to_have_count(2)
    expect(page.get_by_role("heading", name="Difference")).to_be_visible()
    expect(page.get_by_text(f"{recordings.exact.name} (new) less {recordings.sampled.name} (old)")).to_be_visible()
    link = json.dumps(page.url)
    assert "token" not in link and "beside" in link


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    entered: Entered, visit: Callable[..., Visit], recordings: Recordings, scheme: str
) -> None:
    """What the server adds to the report's page: its bar, the source view, two columns."""
    page = visit(entered.origin, offline=False, storage_state=entered.state, color_scheme=scheme).page
    open_tab(page, "Source")
    expect(page.get_by_role("row").filter(has_text="session->state.resize").first).to_be_visible()
    page.get_by_text("Download", exact=True).click()
    expect(page.get_by_role("button", name=re.compile("pprof")).first).to_be_visible()
    rules = COLOURS if scheme == "dark" else ()
    found = findings(page, rules=rules)
    page.get_by_label("beside").select_option(label=recordings.sampled.name)
    expect(page.get_by_text(f"less {recordings.sampled.name} (old)")).to_be_visible()
    found += findings(page, rules=rules)
    assert not found, "\n".join(found)
