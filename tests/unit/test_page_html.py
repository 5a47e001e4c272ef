# SPDX-License-Identifier: Apache-2.0
"""The report as HTML: its words, its policy, and that no name gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

import heaptide
from heaptide.analysis.report import Report, report
from heaptide.model import Frame
from heaptide.render import units
from heaptide.render.page import file, make
from heaptide.render.page import html as pages
from heaptide.render.page.excerpts import AROUND, Excerpts
from heaptide.render.page.make import document
from heaptide.render.page.texts import LONGEST, Strings, clean
from heaptide.render.page.words import words
from tests.builders import hostile
from tests.builders.page_reader import Page
from tests.builders.profiles import a_frame, a_profile, a_series

TEMPLATE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><!--heaptide:policy-->
<title><!--heaptide:title--></title><script type="module">let a = "<b>";
</script><script type="text/plain" id="data">not run</script></head>
<body><div id="heaptide-words"><!--heaptide:words--></div><!--heaptide:document--></body></html>"""
CODE = 'let a = "<b>";\n'
UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Elements(HTMLParser):
    """Every element's name and attributes, and the text outside of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.comments: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "script":
            self.text.append(data)


MAKERS = (hostile.a_capture, hostile.a_pprof_file, hostile.a_heap_file)


def no_lines(_: str) -> str:
    return "there is no source"


def a_report(found: Report, lines_of: Callable[[str], list[str] | str] = no_lines) -> str:
    made = document(found, lines_of)
    title = str(made.header["title"])
    return pages.report(TEMPLATE, title=title, words=words(found, made), data=made.data).decode("utf-8")


def test_the_document_stands_in_the_page_and_comes_back() -> None:
    found = report(a_series(a_profile({"malloc@allocator work main": 1000, "main": 24})))
    page = a_report(found)
    (body,) = re.findall(r'<script type="application/octet-stream" id="heaptide-document">([^<]*)</script>', page)
    read = Page(base64.b64decode(body, validate=True))
    assert read.values("heap", "inuse_space", -1, 0).sum() == 1024
    assert read.header["headline"]["verdict"] == "too-short"


def test_the_policy_allows_the_pages_own_scripts_and_nothing_else() -> None:
    page = a_report(report(a_series(a_profile({"main": 24}))))
    (meta,) = [attributes for tag, attributes in Elements(page).found if "http-equiv" in attributes]
    rules = dict(rule.split(" ", 1) for rule in str(meta["content"]).split("; "))
    digest = base64.b64encode(hashlib.sha256(CODE.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}' 'wasm-unsafe-eval' blob:"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data: blob:" and "connect-src" not in rules
    assert page.index("http-equiv") < page.index("<script")


def test_the_served_page_may_ask_its_server() -> None:
    body, policy = pages.served(TEMPLATE)
    assert "connect-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert b"heaptide-serve" in body and b"<!--heaptide:" not in body and b"heaptide-document" not in body


def test_the_built_page_has_scripts_that_the_policy_names() -> None:
    page = pages.template()
    scripts = [attributes for tag, attributes in Elements(page).found if tag == "script"]
    run = [attributes for attributes in scripts if attributes.get("type") in (None, "", "module")]
    assert len(run) == pages.policy(page).count("'sha256-") > 0
    assert not any("src" in attributes for attributes in scripts)


def test_no_part_can_pretend_to_be_a_place() -> None:
    page = pages.report(TEMPLATE, title="<!--heaptide:words-->", words="<!--heaptide:document-->", data=b"x")
    assert page.count(b"heaptide-document") == 1
    assert b"&lt;!--heaptide:words--&gt;" in page and b"<!--heaptide:document-->" in page


def test_the_words_tell_the_table_that_top_prints() -> None:
    found = report(a_series(a_profile({"malloc@allocator work:7 main": 3 << 20, "cache main": 1 << 20})))
    text = re.sub(r"\s+", " ", " ".join(Elements(a_report(found)).text))
    for expected in (
        "work",
        "work.c:7",
        units.size(3 << 20),
        "75.0 %",
        "cache.c:1",
        units.size(1 << 20),
        "prog.1.tide",
    ):
        assert expected in text
    assert "Suspects" not in text


# ---- Hostile names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", MAKERS, ids=["capture", "pprof", "heap"])
def test_hostile_names_stay_text(tmp_path: Path, maker: Callable[[Path], Path]) -> None:
    found = report(heaptide.open(maker(tmp_path)))
    page = a_report(found, lambda name: ["</script><script>alert(9)</script>", name])
    elements = Elements(page)
    assert {tag for tag, _ in elements.found} <= {
        *("html", "head", "meta", "title", "script", "body", "div", "article", "header", "h1", "h2", "h3", "p", "ul"),
        *("ol", "li", "section", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    }
    assert sum(tag == "script" for tag, _ in elements.found) == 3
    assert {name for _, attributes in elements.found for name in attributes} <= {
        *("lang", "charset", "http-equiv", "content", "type", "id", "class", "scope", "data-verdict")
    }
    assert elements.comments == [] and elements.open == []
    assert not UNWANTED.search(page)
    assert max(map(len, elements.text)) < 1000
    shown = html.unescape(page)
    assert "<script>alert(1)</script>" in shown


@pytest.mark.parametrize("maker", MAKERS, ids=["capture", "pprof", "heap"])
def test_hostile_names_in_the_document_are_bounded_text(tmp_path: Path, maker: Callable[[Path], Path]) -> None:
    page = Page(document(report(heaptide.open(maker(tmp_path))), no_lines).data)
    strings = [*page.header["strings"], *page.header["modules"], page.header["title"], page.header["headline"]["text"]]
    assert not any(UNWANTED.search(text) for text in strings)
    assert max(map(len, strings)) < LONGEST + 100
    assert any("characters left out" in text for text in strings)
    names = {frame.function or frame.module for frame in page.frames}
    assert any("<script>alert(1)</script>" in name for name in names if name)  # as it is: the page sets it as text


def test_names_that_differ_only_where_they_are_cut_stay_two_places() -> None:
    strings = Strings()
    one, other = strings.index("a" * 3000 + "b" + "c" * 3000), strings.index("a" * 3000 + "d" + "c" * 3000)
    assert one != other and strings.texts[one] == strings.texts[other]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\udce9t\udcff", "\\xe9t\\xff"),
        ("\ud800", "\\ud800"),
        ("\u202eevil", "\\u202eevil"),
        ("größe", "größe"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


# ---- Excerpts --------------------------------------------------------------------------------------------------------


def numbered(file: str) -> list[str]:
    return [f"line {number} of {file}" for number in range(1, 101)]


def test_excerpts_around_lines_are_joined_where_they_touch() -> None:
    frames = [a_frame("work:50"), a_frame("work:55"), a_frame("work:3"), a_frame("late:99")]
    found = Excerpts(numbered, frames)
    spans = [(one["file"], one["first_line"], len(one["lines"])) for one in found.found]  # type: ignore[arg-type]
    assert spans == [("/src/work.c", 1, 3 + AROUND), ("/src/work.c", 44, 18), ("/src/late.c", 93, 8)]
    assert found.at(frames[1]) == {"index": 1, "line": 55}
    assert found.at(a_frame("other:5")) is None and found.at(None) is None


@pytest.mark.parametrize(
    "file", ["/etc/shadow", "/home/a/.ssh/id_rsa", "secret.key", "/proc/self/environ", "x.c.pem", "c"]
)
def test_only_what_is_named_like_source_is_quoted(file: str) -> None:
    asked = []
    frame = Frame("f", file, 1, None, None)
    assert Excerpts(lambda name: asked.append(name) or ["a secret"], [frame]).found == []
    assert asked == []


def test_a_line_beyond_the_files_end_is_not_quoted() -> None:
    assert Excerpts(numbered, [a_frame("work:500")]).found == []
    assert Excerpts(no_lines, [a_frame("work:5")]).found == []


# ---- The file --------------------------------------------------------------------------------------------------------


def test_a_file_keeps_within_its_room_whatever_its_words_take(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = {f"malloc@allocator f{n % 7} g{n % 11} h{n % 13} i{n % 17}:{n} main": 9000 - n for n in range(3000)}
    found = report(a_series(a_profile(stacks)))
    room = len(TEMPLATE) + 40_000
    monkeypatch.setattr(make, "REPORT_ROOM", room)
    monkeypatch.setattr(file, "REPORT_ROOM", room)
    monkeypatch.setattr(file, "_WORDS", 0)  # the words are longer than was thought
    whole = file.report_file(found, no_lines, page=TEMPLATE, title="heaptide", tool="heaptide test")
    assert 0.8 * room < len(whole) <= room
    assert b"<title>prog.1.tide: heaptide</title>" in whole
    (body,) = re.findall(rb'id="heaptide-document">([^<]*)</script>', whole)
    page = Page(base64.b64decode(body, validate=True))
    assert page.header["datasets"][0]["folded"] > 0 and page.header["tool"] == "heaptide test"
    assert "put together here" in whole.decode()
