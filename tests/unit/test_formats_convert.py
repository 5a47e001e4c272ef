# SPDX-License-Identifier: Apache-2.0
"""`heaptide convert` as a command: names, values, sums, what it says, and what it refuses."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from heaptide._errors import HeaptideError
from heaptide.cli.convert import command
from heaptide.formats import pprof, read, text_heap
from heaptide.formats.targets import default_value
from tests.fuzz.readers import CORPUS

HEAP = CORPUS / "gperftools-heap"


def convert(*arguments: str | Path) -> tuple[str, str]:
    """Standard output and standard error of a run that succeeds."""
    result = CliRunner().invoke(
        command, [str(word) for word in arguments], catch_exceptions=False, standalone_mode=False
    )
    return result.stdout, result.stderr


def refused(*arguments: str | Path) -> str:
    with pytest.raises((HeaptideError, click.ClickException)) as caught:
        command.main([str(word) for word in arguments], standalone_mode=False)
    return str(caught.value)


@pytest.mark.parametrize("name", ["x.pb.gz", "x.heap", "x.folded", "x.callgrind", "callgrind.out.7", "x.json"])
def test_the_name_says_the_format(name: str, tmp_path: Path) -> None:
    convert(HEAP, "-o", tmp_path / name)
    data = (tmp_path / name).read_bytes()
    if name == "x.json":
        assert json.loads(data)["exporter"] == "heaptide"
    elif "callgrind" in name:
        assert data.startswith(b"# callgrind format")
    else:
        assert len(read(data).columns) == 2
    assert not list(tmp_path.glob(".*")), "nothing is left beside the file"


_SANE = sorted(path for path in CORPUS.iterdir() if path.name != "gperftools-wrapped")  # which estimates 2^63 bytes


@pytest.mark.parametrize("source", _SANE, ids=lambda path: path.name)
@pytest.mark.parametrize("target", ["pprof", "gperftools", "collapsed"])
def test_from_each_to_each_that_is_read_again(source: Path, target: str, tmp_path: Path) -> None:
    """The value that is written stays what it is, as far as the target has that kind of value."""
    before = read(source.read_bytes()).columns
    kind = before.sample_types[default_value(before)].type
    convert(source, "-o", tmp_path / "x", "--to", target, "--at", "exit")
    after = read((tmp_path / "x").read_bytes()).columns
    wanted = int(before.values[before.column(kind)].sum())
    held = {"pprof": [kind], "collapsed": ["samples"]}.get(target, {kind, kind.removeprefix("inuse_"), f"inuse_{kind}"})
    found = {one.type: int(column.sum()) for one, column in zip(after.sample_types, after.values, strict=True)}
    if target != "gperftools" or text_heap.values_of(before):
        assert [found[name] for name in held if name in found] == [wanted]
    else:
        assert len(after) == 0


def test_standard_output_needs_a_format() -> None:
    out, said = convert(HEAP, "-o", "-", "--to", "collapsed", "--value", "alloc_space")
    assert sorted(line.rpartition(" ")[2] for line in out.splitlines()) == ["500", "500"]
    assert "the format collapsed does not hold" in said and "values but alloc_space" in said
    assert "does not say a format" in refused(HEAP, "-o", "-")


def test_several_files_are_summed(tmp_path: Path) -> None:
    convert(HEAP, HEAP, CORPUS / "gperftools-heap", "-o", tmp_path / "x.pb.gz")
    columns = pprof.parse((tmp_path / "x.pb.gz").read_bytes())
    assert columns.values.sum(axis=1).tolist() == [15, 3000, 9, 1800]


def test_nothing_is_lost_from_protobuf_to_protobuf(tmp_path: Path) -> None:
    _, said = convert(CORPUS / "pprof-heap_tags.pb", "-o", tmp_path / "x.pb.gz")
    assert said == ""
    assert (tmp_path / "x.pb.gz").read_bytes() == pprof.dump(pprof.parse((CORPUS / "pprof-heap_tags.pb").read_bytes()))


def test_names_are_looked_up_unless_forbidden(tmp_path: Path) -> None:
    _, said = convert(HEAP, "-o", tmp_path / "x.pb.gz")
    assert "not here: /bin/prog" in said and "why places have no name" in said
    _, said = convert(HEAP, "-o", tmp_path / "x.pb.gz", "--no-names")
    assert said == ""


def test_mistakes(tmp_path: Path) -> None:
    assert "a capture cannot be written" in refused(HEAP, "-o", tmp_path / "x.tide")
    assert "does not say a format" in refused(HEAP, "-o", tmp_path / "x.unknown")
    assert "did you mean 'inuse_space'" in refused(HEAP, "-o", tmp_path / "x.folded", "--value", "inuse_spaec")
    assert "cannot be written" in refused(HEAP, "-o", tmp_path / "no" / "x.folded")
    assert "No such file" in refused(tmp_path / "gone", "-o", tmp_path / "x.folded")
    (tmp_path / "empty").write_text("heap profile: 0: 0 [0: 0] @ heapprofile\n")
    assert "holds no stack" in refused(tmp_path / "empty", "-o", tmp_path / "x.folded")
    assert not (tmp_path / "x.folded").exists()


def test_a_file_that_is_there_is_replaced_as_others_would(tmp_path: Path) -> None:
    (tmp_path / "x.folded").write_text("old")
    convert(HEAP, "-o", tmp_path / "x.folded")
    mode = stat.S_IMODE((tmp_path / "x.folded").stat().st_mode)
    (tmp_path / "plain").write_text("")
    assert mode == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
