# SPDX-License-Identifier: Apache-2.0
"""The view of `heaptide live`, driven by keys over recordings with known answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from heaptide.analysis.watch import judged, look
from heaptide.tui import app
from heaptide.tui.feed import News
from heaptide.tui.seams import State
from tests.builders.live import View, Written, read, recording, run_view


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prog.4711.tide"


def names(view: View) -> list[str]:
    """The sites, in the order of the table."""
    return [found[1] for line in view.sites if (found := re.search(r"[▸▾>v] (?!←)(?:mapped: )?(\w+)", line))]


def test_what_stands_on_80_by_24(path: Path) -> None:
    async def check(view: View) -> None:
        lines = view.lines
        assert len(lines) == 24 and max(map(len, lines)) <= 80
        assert lines[0].split()[:3] == ["prog", "pid", "4711"] and "following" in lines[0]
        assert lines[1].split()[0] == "RSS" and "64.0 MiB" in lines[1]
        assert "63.0 MiB" in lines[2] and lines[3].strip().startswith("leak: leaks (leaks.c:16) grows by")
        assert names(view) == ["leaks", "churns", "keeps"]
        assert re.search(r"60\.0 MiB +\+57\.0 MiB +10\.1\.\.11\.0 GiB/h leak", view.sites[0])
        assert "s sort" in lines[-1].replace("  ", " ") and "quit" in lines[-1]

    run_view(path, check)


def test_sorting_by_key_and_by_number(path: Path) -> None:
    async def check(view: View) -> None:
        orders = []
        for _ in range(5):
            await view.press("s")
            orders.append(view.app.question.order)
        assert orders == ["since", "rate", "verdict", "site", "value"]
        await view.press("5")
        assert names(view) == ["churns", "keeps", "leaks"] and "by name" in view.text
        await view.press("4")
        assert names(view)[0] == "leaks" and "by verdict" in view.text

    run_view(path, check)


def test_values(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("v")
        assert names(view)[0] == "churns" and re.search(r"102 MiB +\+95\.0 MiB", view.sites[0])
        await view.press("v")
        assert names(view)[0] == "leaks" and re.search(r" 60 +\+57 ", view.sites[0])

    run_view(path, check)


def test_filter_as_it_is_typed_kept_and_ended(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("slash", "E", "A", "k", "s")
        assert names(view) == ["leaks"] and "1 of 3 sites match EAks" in view.text
        await view.press("enter", "s")
        assert names(view) == ["leaks"] and view.app.question.order == "since"
        await view.press("escape")
        assert len(names(view)) == 3
        await view.press("slash", "left_parenthesis")
        assert names(view) == [] and "0 of 3 sites match" in view.text  # no expression: taken as it is

    run_view(path, check)


def test_keys_of_the_view_are_not_those_of_its_pages(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("enter")
        await view.shows("the heaviest of 2 stacks")
        await view.press("s", "v", "m", "slash")
        await view.shows("the heaviest of 2 stacks")
        assert view.app.question.order == "value" and not view.app.marks and not view.app._filter.display
        await view.press("escape", "slash", "slash", "s", "r", "c", "slash", "m")
        assert view.app._filter.value == "/src/m" and names(view) == []

    run_view(path, check)


def test_pause_holds_what_is_shown(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("p")
        assert "PAUSED" in view.lines[0]
        view.source.lay(25)
        await view.press("v", "v", "v")
        assert view.app.shown is not None and view.app.shown.at.number == 20
        await view.press("space")
        await view.until(lambda: view.app.shown and view.app.shown.at.number == 25, "the 25th snapshot")
        await view.shows("following", "75.0 MiB")

    run_view(path, check)


def test_mark_shows_what_grew_since_and_generations_what_grew_between(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("m")
        assert "since mark" in view.text and re.search(r"60\.0 MiB +0 B", view.sites[0])
        await view.grows(24)
        await view.until(lambda: re.search(r"72\.0 MiB +\+12\.0 MiB", view.sites[0]), "growth since the mark")
        await view.press("m")
        await view.grows(30)
        await view.shows("mark 2 (+00:24.0) to now", "+18.0 MiB")
        await view.press("g")
        await view.shows("until mark 1", "mark 1 to 2", "since mark 2", "+57.0 MiB", "+12.0 MiB", "+18.0 MiB")
        await view.press("up", "enter")
        await view.shows("growth from mark 1 (+00:20.0) to mark 2 (+00:24.0)", "grew")
        assert re.search(r"90\.0 MiB +\+12\.0 MiB", view.sites[0])
        await view.press("escape")
        assert "from start" in view.text and "+87.0 MiB" in view.sites[0]

    run_view(path, check)


def test_a_mark_waits_for_the_snapshot_that_it_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SNAPSHOT_PATIENCE_S", 600.0)

    async def check(view: View) -> None:
        view.source.grants_snapshots = True
        await view.press("m")
        assert view.source.snapshots_asked == 1 and view.app.marks == []
        assert "waiting for the recorder's snapshot" in view.text
        await view.grows(21)
        await view.until(lambda: view.app.marks, "mark")
        assert view.app.marks[0].snapshot.number == 21

    run_view(path, check)


def test_a_mark_takes_what_there_is_where_no_snapshot_comes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SNAPSHOT_PATIENCE_S", 0.01)

    async def check(view: View) -> None:
        view.source.grants_snapshots = True
        await view.press("m")
        await view.until(lambda: view.app.marks, "mark")
        assert view.app.marks[0].snapshot.number == 20 and "waiting" not in view.text

    run_view(path, check)


def test_news_that_come_in_a_pause_are_shown_after_it(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("p")
        series = read(recording(path, 25))
        view.app.post_message(News(series, judged(look(series)), State(True)))
        await view.press("v", "v", "v")
        assert view.app.shown is not None and view.app.shown.at.number == 20
        await view.press("p")
        await view.shows("75.0 MiB")

    run_view(path, check)


def test_without_marks_the_list_says_how_to_take_one(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("g")
        await view.shows("m takes one")
        await view.press("escape")
        await view.shows("from start")

    run_view(path, check)


def test_callers_unfold_and_fold(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("right")
        left, right = view.sites[1:3]
        assert "▸ ← left" in left and "40.0 MiB" in left and "▸ ← right" in right and "20.0 MiB" in right
        await view.press("down", "right")
        assert "  ← main" in view.sites[2] and "40.0 MiB" in view.sites[2] and "← right" in view.sites[3]
        await view.grows(23)
        await view.until(lambda: "46.0 MiB" in view.sites[2], "the caller's new figure")
        assert view.app._table.cursor_row == 1, "the cursor stays where it was"
        await view.press("left", "left")
        assert len(view.sites) == 5 and view.app._table.cursor_row == 0, "first the branch, then up to the site"
        await view.press("left")
        assert names(view) == ["leaks", "churns", "keeps"]

    run_view(path, check)


def test_a_chain_of_single_callers_unfolds_at_once(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("right", "down", "right", "left", "left", "left")
        await view.press("s", "down", "right")
        assert "← main" in view.sites[2]

    run_view(path, check)


def test_details(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("enter")
        await view.shows("leaks  leaks.c:16", "60.0 MiB in 60 blocks", "leak, 99 % sure", "10.1..11.0 GiB/h")
        assert "/src/leaks.c is not here" in view.text and "the heaviest of 2 stacks" in view.text
        assert "left  /src/left.c:64" in view.text
        await view.grows(25)
        await view.shows("75.0 MiB in 75 blocks")
        await view.press("escape")
        await view.shows("verdict  site")

    run_view(path, check, size=(80, 40))


def test_help_and_memory(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("question_mark")
        await view.shows("heaptide live", "leak and growing ask for action")
        assert max(map(len, view.lines)) <= 80
        await view.press("q")
        await view.shows("verdict  site")
        await view.press("r")
        await view.shows("Resident memory", "reading of the program's pages")
        await view.press("escape")

    run_view(path, check)


def test_export(path: Path) -> None:
    exporter = Written()

    async def check(view: View) -> None:
        await view.press("e")
        await view.shows("as JSON", "collapsed")
        await view.press("j")
        await view.shows("wrote prog.json")
        await view.press("e", "escape")
        assert [kind for kind, _ in exporter.asked] == ["json"]

    run_view(path, check, exporter=exporter)


@pytest.mark.parametrize("width", [40, 44, 60, 80, 110, 140, 200])
def test_any_width(path: Path, width: int) -> None:
    async def check(view: View) -> None:
        await view.pilot.resize_terminal(width, 20)
        await view.until(lambda: view.app.size.width == width, "new size")
        await view.pilot.pause()
        await view.press("right")
        lines = view.lines
        assert len(lines) == 20 and max(map(len, lines)) <= width
        assert [line.split()[:1] for line in lines[:4]] == [["prog"], ["RSS"], ["in"], ["leak:"]], "a line for each"
        assert names(view)[0] == "leaks" and any("leak " in line for line in view.sites)
        titles = next(line for line in lines if "verdict" in line)
        assert ("95 %" in titles) == (width >= 72) and ("sure" in titles) == (width >= 104)

    run_view(path, check)


def test_without_colour(path: Path) -> None:
    async def check(view: View) -> None:
        for keys in ((), ("right",), ("enter",), ("escape", "question_mark"), ("escape", "m", "g")):
            await view.press(*keys)
            styles = [segment.style for strip in view.strips for segment in strip if segment.style is not None]
            colours = {colour for style in styles for colour in (style.color, style.bgcolor) if colour is not None}
            assert all(colour.is_default for colour in colours), colours
            assert any(style.bold for style in styles), "what was coloured is told in another way"

    run_view(path, check, colour=False)


def test_in_ascii(path: Path) -> None:
    async def check(view: View) -> None:
        for keys in ((), ("right", "down", "right"), ("slash", "x"), ("escape", "enter"), ("escape", "m", "g")):
            await view.press(*keys)
            assert view.text.isascii(), [line for line in view.lines if not line.isascii()]
        assert "leaks" in view.text or "Generations" in view.text

    run_view(path, check, ascii_only=True)


def test_another_program_in_the_same_process(path: Path) -> None:
    async def check(view: View) -> None:
        await view.press("m")
        assert view.app.marks and "since mark" in view.text
        view.source.told = State(True, "after exec")
        view.source.lay(8, program="other")
        await view.shows("other", "after exec", "from start", "24.0 MiB")
        assert view.app.marks == [], "they were moments of the program before"

    run_view(path, check)


def test_the_end_and_what_cannot_be_read_are_told(path: Path) -> None:
    async def check(view: View) -> None:
        view.source.told = State(False, "killed by signal 9")
        await view.shows("killed by signal 9")
        view.source.told = State(True, "", 1234)
        await view.shows("naming 1,234 places")
        view.source.told = State(True, advice="heaptide-record --arm 4711")
        await view.shows("heaptide-record --arm 4711")

    run_view(path, check)


def test_too_few_snapshots(path: Path) -> None:
    async def check(view: View) -> None:
        assert "too short to judge: 3 snapshots over 2.0 s" in view.text
        assert names(view)[0] == "leaks" and " - " in view.sites[0]

    run_view(path, check, snapshots=3)
