# SPDX-License-Identifier: Apache-2.0
"""pprof's command line: flags in every spelling, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from heaptide._errors import UsageError
from heaptide.cli.pprof_flags import OUTPUTS, SEARCHES, SETTINGS, SWITCHES, VIEWERS, compiled, help_text, parse


def test_the_old_notes_command_line() -> None:
    request = parse(["--ps", "--lines", "--base", "a.heap", "./prog", "b.heap"])
    assert (request.output, request.by, request.lists) == ("ps", "lines", {"base": ["a.heap"]})
    assert request.files == ["./prog", "b.heap"]


@pytest.mark.parametrize(
    "words",
    [
        ["--text", "--nodecount=7", "prog", "p"],
        ["-text", "-nodecount", "7", "prog", "p"],
        ["prog", "-top", "p", "--nodecount", "7"],
        ["-text=true", "--nodecount=7", "--", "prog", "p"],
    ],
)
def test_flags_in_every_spelling_and_place(words: list[str]) -> None:
    request = parse(words)
    assert (request.output, request.number("nodecount", 0), request.files) == ("text", 7, ["prog", "p"])


def test_switches_values_and_granularities() -> None:
    request = parse(["-cum", "--show_bytes", "--alloc_objects", "-files", "--svg", "p"])
    assert request.switches == {"cum": True, "show_bytes": True}
    assert (request.value, request.by, request.output) == ("alloc_objects", "files", "svg")
    assert parse(["-sample_index=alloc_space", "p"]).settings == {"sample_index": "alloc_space"}
    assert not parse(["-cum=false", "p"]).on("cum")
    assert parse(["-mean_delay", "p"]).value == "delay" and parse(["-mean_delay", "p"]).on("mean")
    assert parse(["--evince", "p"]).output == "pdf" and parse(["--evince", "p"]).viewer == "evince"
    assert parse(["--text", "--stacks", "p"]).output == "traces"
    assert parse(["-peek=^f", "p"]).search == "^f"
    assert parse(["-base", "a", "-base=b", "p"]).lists["base"] == ["a", "b"]
    assert parse(["--exclude=x", "p"]).settings == {"hide": "x"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tetx"], "no flag '--tetx'; did you mean 'text'"),
        (["--inuse-space"], "did you mean 'inuse_space'"),
        (["-nodecont=3"], "did you mean 'nodecount'"),
        (["--qqq"], "no flag '--qqq'\n"),
        (["--base"], "--base needs a value"),
        (["--svg=maybe"], "takes no value"),
        (["-svg", "-pdf"], "only one output format at a time, not --svg and --pdf"),
        (["-lines", "-files"], "only one granularity"),
        (["-base=a", "-diff_base=b"], "exclude each other"),
        (["-normalize"], "needs a --base"),
        (["--heapcheck"], "not known here"),
        (["-http=:8080", "-svg"], "no output format"),
    ],
)
def test_wrong_flags_name_the_nearest_right_one(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(words)


def test_wrong_values_of_settings() -> None:
    with pytest.raises(UsageError, match="is no number"):
        parse(["--nodecount=many", "p"]).number("nodecount", 0)
    with pytest.raises(UsageError, match="is no regular expression"):
        parse(["--focus=(", "p"]).pattern("focus")
    assert parse(["p"]).pattern("focus") is None


def test_patterns_of_the_go_tool_are_understood() -> None:
    pattern = compiled("--focus", "^[[:alpha:]_]+[[:digit:]]$")
    assert pattern is not None and pattern.search("work_7") and not pattern.search("7work")


def test_help_names_every_flag() -> None:
    text = help_text("heaptide pprof")
    for flag in [*OUTPUTS, *SEARCHES, *VIEWERS, *SETTINGS, *SWITCHES]:
        assert f"--{flag} " in text
    assert max(map(len, text.splitlines())) <= 100
