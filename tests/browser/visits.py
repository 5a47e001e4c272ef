# SPDX-License-Identifier: Apache-2.0
"""One person's visit to the page: a tab of Chromium, and everything that went wrong in it.

What a tab may never do, whatever the test is about: write an error to the console, break its own
Content-Security-Policy, leave an exception uncaught, open a dialog, or ask for anything from elsewhere. `Visit.check`
says which of these happened. The driver is PyPI's playwright: its wheel carries playwright-core and a Node to run it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, expect

PATIENCE_MS = 60_000
"""Nothing here takes a second on a quiet machine; CI's is not quiet."""

expect.set_options(timeout=PATIENCE_MS)

_REPORT_VIOLATIONS = """
window.addEventListener("securitypolicyviolation", (event) => {
    console.error(`policy: ${event.violatedDirective} refused ${event.blockedURI} (${event.sample})`);
});
"""


@dataclass
class Visit:
    """A tab, and what was seen of it from outside."""

    page: Page
    origin: str
    """Where requests may go: `file://`, or scheme, host and port of a server."""
    scripts: bool = True
    """Whether the tab runs JavaScript."""
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        self.page.on("dialog", self._on_dialog)
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console, {message.type}: {message.text}")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        if urlsplit(request.url).scheme not in {"data", "blob"} and not request.url.startswith(self.origin):
            self.faults.append(f"request: {request.url}")

    def settle(self) -> None:
        """Until the page has drawn what it was about to draw, and what it says of that has arrived."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")

    def expect_fault(self, part: str) -> None:
        """Waits for a fault that has this in it: what a browser says of one arrives when it likes."""
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not any(part in fault for fault in self.faults):
            assert time.monotonic() < deadline, f"no {part!r} in {self.faults}"
            self.settle()

    def leave(self) -> None:
        """Closes the tab, once what it has to say has arrived."""
        if self.page.is_closed():
            return
        if self.scripts:
            self.settle()
        self.page.context.close()

    def forgive(self, beginning: str) -> None:
        """Faults that begin so were meant."""
        self.settle()
        self.faults[:] = [fault for fault in self.faults if not fault.startswith(beginning)]

    def check(self) -> None:
        """Nothing of what may never happen has happened."""
        assert not self.faults, "\n".join(self.faults)


def visit(browser: Browser, url: str, *, offline: bool = True, **context: Any) -> Visit:
    """A new tab in a browser profile of its own, at `url`. Without network unless `offline` is False.

    `context` is what `Browser.new_context` takes; motion is reduced unless it says otherwise, so that a picture is
    still when it is looked at.
    """
    context = {"viewport": {"width": 1440, "height": 1000}, "reduced_motion": "reduce"} | context
    tab = browser.new_context(offline=offline, **context)
    tab.set_default_timeout(PATIENCE_MS)
    scripts = bool(context.get("java_script_enabled", True))
    if scripts:
        tab.add_init_script(_REPORT_VIOLATIONS)
    parts = urlsplit(url)
    seen = Visit(tab.new_page(), "file://" if parts.scheme == "file" else f"{parts.scheme}://{parts.netloc}", scripts)
    seen.page.goto(url)
    return seen
