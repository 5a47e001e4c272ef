# SPDX-License-Identifier: Apache-2.0
"""Readers of foreign files one by one: what they make of sound files, and what they say of others."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zstandard

from heaptide import build_foreign, formats
from heaptide._errors import InputError
from heaptide.formats import collapsed, gperftools, jemalloc, maps, packed, pprof
from heaptide.formats.heaps import unsampled
from heaptide.formats.maps import Mapping
from heaptide.formats.named import frame_names
from heaptide.formats.profile_proto import profile_class
from heaptide.formats.targets import TARGETS, for_name
from heaptide.model.columns import Columns
from tests.fuzz.readers import CORPUS

JEMALLOC = (CORPUS / "jemalloc-heap").read_bytes()
HEAPTRACK = (CORPUS / "heaptrack-some").read_bytes()
MASSIF = (CORPUS / "massif-some").read_bytes()


def stacks(columns: Columns) -> list[list[str]]:
    """Names of each sample, leaf first."""
    names, bounds = frame_names(columns), columns.stack_start.tolist()
    return [
        [name for place in columns.stack[bounds[row] : bounds[row + 1]].tolist() for name in names[place]]
        for row in range(len(columns))
    ]


def values(columns: Columns) -> dict[str, list[int]]:
    return {kind.type: column.tolist() for kind, column in zip(columns.sample_types, columns.values, strict=True)}


# Which format it is


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_a_file_is_known_by_its_contents(path: Path) -> None:
    data = path.read_bytes()
    wanted = path.name.partition("-")[0]
    assert formats.kind_of(data[:4096]) == wanted == formats.read(data).format
    assert formats.read(gzip.compress(data) if path.suffix != ".gz" else data).format == wanted


@pytest.mark.parametrize(
    "data", [b"", b"HEAPTIDE\1\0\0\0", b"\x7fELF\2\1\1\0", b"# Title\n\nSome prose.\n", b"{}\n", b"\x1f\x8b", b"12\n"]
)
def test_what_is_no_profile_is_not_taken_for_one(data: bytes) -> None:
    assert formats.kind_of(data) is None
    with pytest.raises(InputError, match="the beginning of a profile"):
        formats.read(data, "x")


# gperftools: pprof's rules


def _text(header: str, *records: str) -> Columns:
    return gperftools.parse(("\n".join([header, *records]) + "\n").encode()).columns()


def test_two_types_where_nothing_was_freed_four_where_something_was() -> None:
    two = _text("heap profile: 1: 10 [1: 10] @ heapprofile", "1: 10 [1: 10] @ 0x10")
    assert values(two) == {"objects": [1], "space": [10]}
    without = _text("heap profile: 1: 10 [0: 0] @ heap_v2/1", "1: 10 [0: 0] @ 0x10")
    assert values(without) == {"objects": [1], "space": [10]}
    four = _text("heap profile: 1: 10 [2: 30] @ heapprofile", "1: 10 [2: 30] @ 0x10")
    assert values(four) == {"alloc_objects": [2], "alloc_space": [30], "inuse_objects": [1], "inuse_space": [10]}


def test_every_sample_carries_the_mean_size_of_its_blocks() -> None:
    columns = _text(
        "heap profile: 3: 31 [9: 90] @ heapprofile",
        "3: 31 [4: 40] @ 0x10",
        "0: 0 [5: 50] @ 0x20",
        "-3: -31 [0: 0] @ 0x30",
    )
    assert columns.labels.number.tolist() == [10, 10, 10]
    assert {columns.labels.strings[key] for key in columns.labels.key.tolist()} == {"bytes"}


def test_locations_are_addresses_each_once_in_the_order_of_the_file() -> None:
    columns = _text("heap profile: 2: 2 [2: 2] @ heapprofile", "1: 1 [1: 1] @ 0x31 0x21", "1: 1 [1: 1] @ 0x21 0x0")
    assert columns.locations.address.tolist() == [0x30, 0x20, (1 << 64) - 1]
    assert columns.stack.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize(("objects", "space", "period"), [(0, 0, 512), (5, 500, 1), (0, 7, 512), (5, 500, 0)])
def test_what_cannot_be_unsampled_stays(objects: int, space: int, period: int) -> None:
    found = unsampled(np.array([objects]), np.array([space]), period)
    assert (found[0].tolist(), found[1].tolist()) == ([objects], [space])


# The memory map


def _placed(entries: list[Mapping], *addresses: int) -> list[tuple[str, int, int]]:
    mapped, index = maps.place(np.array(addresses, np.uint64), entries)
    return [(mapped[number].file, mapped[number].start, mapped[number].offset) for number in index.tolist()]


def test_maps_in_both_ways_of_writing() -> None:
    lines = """00400000-00402000 r-xp 00001000 08:01 42   /bin/my prog (deleted)
        build=/home/b
        40000000-40015000: $build/ld.so (@1000) 67d2
        7f00-7fff rw-p 00000000 00:00 0
        nonsense"""
    assert maps.parse_maps(lines.splitlines()) == [
        Mapping(0x400000, 0x402000, "r-xp", 0x1000, "/bin/my prog (deleted)"),
        Mapping(0x40000000, 0x40015000, "", 0x1000, "/home/b/ld.so", "67d2"),
        Mapping(0x7F00, 0x7FFF, "rw-p", 0, ""),
    ]


def test_addresses_find_their_mapping_as_in_pprof() -> None:
    library = Mapping(0x7000, 0x8000, "r-xp", 0, "/lib/libc.so.6")
    program = Mapping(0x402000, 0x403000, "r-xp", 0x2000, "/bin/prog")
    data = Mapping(0x9000, 0xA000, "rw-p", 0, "/bin/prog")
    # The program comes first and begins where programs begin; what lies in no code lies in a mapping of its own.
    placed = _placed([library, program, data], 0x7010, 0x400010, 0x9010)
    assert placed == [("/lib/libc.so.6", 0x7000, 0), ("/bin/prog", 0x400000, 0), ("", 0, 0)]


def test_adjacent_pieces_of_a_file_are_one_mapping() -> None:
    pieces = [Mapping(0x1000, 0x2000, "r-xp", 0x5000, "/lib/a.so"), Mapping(0x2000, 0x3000, "r-xp", 0x6000, "")]
    assert _placed(pieces, 0x2010) == [("/lib/a.so", 0x1000, 0x5000)]
    apart = [pieces[0], Mapping(0x2000, 0x3000, "r-xp", 0x9000, "/lib/a.so")]
    assert _placed(apart, 0x2010) == [("/lib/a.so", 0x2000, 0x9000)]


def test_the_part_of_a_file_below_its_mapping_belongs_to_it() -> None:
    part = Mapping(0x70002000, 0x70003000, "r-xp", 0x2000, "/lib/a.so")
    assert _placed([part], 0x70001500, 0x70002500) == [("/lib/a.so", 0x70000000, 0)] * 2


def test_variables_cannot_double_a_line_for_ever() -> None:
    lines = ["a=" + "x" * 100] + [
        f"{name}=${before}${before}" for before, name in zip("abcdefghij", "bcdefghijk", strict=False)
    ]
    lines = lines + [f"{letter}2=${letter}" for letter in "abcdefghijk"] * 50
    found = maps.parse_maps([*lines, "1000-2000: $k$k"])
    assert len(found[0].path) <= 8192


# jemalloc


def test_jemalloc_is_unsampled_record_by_record() -> None:
    file = jemalloc.parse(JEMALLOC)
    assert (file.period, file.threads, len(file.records)) == (524288, {0: "main", 7: ""}, 2)
    columns = file.columns()
    columns.check()
    scale = 1 / (1 - np.exp(-25600 / 524288))
    assert values(columns)["inuse_space"][0] == int(51200 * scale)
    assert columns.locations.address.tolist() == [0x55D8AF, 0x55D8B3, 0x401001, 0x55D8BF]
    assert file.warnings == ()


def test_jemalloc_by_thread() -> None:
    columns = jemalloc.parse(JEMALLOC).columns(by_thread=True)
    columns.check()
    labels = columns.labels
    keys = [labels.strings[key] for key in labels.key.tolist()]
    texts = [labels.strings[text] if text >= 0 else None for text in labels.text.tolist()]
    told = list(zip(labels.sample.tolist(), keys, texts, labels.number.tolist(), strict=True))
    assert (0, "thread", None, 0) in told and (0, "thread_name", "main", 0) in told and (1, "thread", None, 7) in told
    assert values(columns) == values(jemalloc.parse(JEMALLOC).columns())


def test_jemalloc_that_was_cut_is_said_to_be() -> None:
    cut = JEMALLOC[: JEMALLOC.index(b"  t*: 2: 51200")]
    warnings = jemalloc.parse(cut).warnings
    assert any("the file is cut or damaged" in warning for warning in warnings)
    assert any("no memory map" in warning for warning in warnings)
    half = JEMALLOC[: JEMALLOC.index(b": 5120 [2: 15360]\n  t7") + 3]
    assert any("ends inside a record" in warning for warning in jemalloc.parse(half).warnings)


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (b"heap_v2/x\n", 0, "a header"),
        (b"heap_v2/8\n  t*: 1: 2 [0: 0]\nwhat\n\n", 28, "in line 3"),
        (b"heap_v2/8\n  t*: 1: 99999999999999999999 [0: 0]\n\n", 10, "in line 2"),
    ],
)
def test_what_is_no_jemalloc_profile_is_an_error_at_a_byte(data: bytes, offset: int, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        jemalloc.parse(data, "/tmp/x")
    assert caught.value.offset == offset


# collapsed


def test_collapsed_names_may_hold_blanks() -> None:
    columns = collapsed.parse(b"# c\nmain;A<int, B>::f(char const*) 12\n\nmain 3\n")
    columns.check()
    assert stacks(columns) == [["A<int, B>::f(char const*)", "main"], ["main"]]
    assert values(columns) == {"samples": [12, 3]}


def test_a_line_that_is_no_stack_is_an_error_at_a_byte() -> None:
    with pytest.raises(InputError, match="in line 2") as caught:
        collapsed.parse(b"main 3\nmain;f x\n")
    assert caught.value.offset == 7


def test_names_that_collapsed_cannot_hold_are_mended() -> None:
    profile = collapsed.columns_of_names(["a;b\nc", ""], [0, 1], [2], [[5]], (collapsed.SAMPLES,))
    assert collapsed.dump(profile, 0) == b"[unknown];a:b c 5\n"


# heaptrack and massif


def test_heaptrack_gives_its_peak_and_its_end() -> None:
    foreign = formats.read(zstandard.ZstdCompressor().compress(HEAPTRACK))
    assert (foreign.format, foreign.command, len(foreign.moments)) == ("heaptrack", "./prog one", 2)
    peak, end = foreign.moments
    assert peak.offset_s == end.offset_s == 0.073
    assert values(peak.columns)["inuse_space"] == [8, 0x110] and sum(values(end.columns)["inuse_space"]) == 0x110
    assert values(end.columns)["alloc_objects"] == [1, 2]
    assert stacks(end.columns) == [["main"], ["prog+0x7f90", "run", "main", "main"]]
    end.columns.check()


def test_heaptrack_that_is_still_being_written_is_read() -> None:
    whole = gzip.compress(HEAPTRACK * 1)
    assert formats.read(whole[: len(whole) - 12]).format == "heaptrack"
    cut = formats.read(HEAPTRACK[: HEAPTRACK.index(b"a 110") + 4])
    assert any("cut in the middle of a line" in warning for warning in cut.warnings)


@pytest.mark.parametrize("line", [b"+ 7", b"t 9 0", b"t 1 9", b"a 10 9", b"i 7f71 9", b"a zz 1", b"+ -1"])
def test_heaptrack_lines_that_name_what_is_not_there(line: bytes) -> None:
    data = HEAPTRACK.replace(b"c 49\n", line + b"\nc 49\n")
    with pytest.raises(InputError, match="a line of heaptrack") as caught:
        formats.read(data, "x")
    assert caught.value.offset == data.index(line + b"\nc 49")


def test_massif_gives_every_tree_and_says_what_it_hides() -> None:
    foreign = formats.read(MASSIF.replace(b"n0: 60 0x10AF00: main (main.c:12)", b"n0: 60 in 3 places, all below"))
    assert [moment.offset_s for moment in foreign.moments] == [0.065, 0.07]
    first = foreign.moments[0].columns
    assert stacks(first) == [
        ["std::vector<int>::push_back(int const&)", "main"],
        ["[in 39 places, below massif's threshold]"],
    ]
    assert values(first) == {"inuse_space": [650390, 12621]}
    assert "60 bytes" in foreign.warnings[0]
    assert sum(values(foreign.columns)["inuse_space"]) == 100


def test_massif_without_any_tree_says_so() -> None:
    foreign = formats.read(MASSIF[: MASSIF.index(b"#-----------\nsnapshot=1")])
    assert len(foreign.columns) == 0 and "no snapshot of the file has a tree" in foreign.warnings[0]


# profile.proto


def _broken(change: str) -> bytes:
    message = profile_class()()
    message.ParseFromString((CORPUS / "pprof-heap_tags.pb").read_bytes())
    exec(change, {"m": message})
    data: bytes = message.SerializeToString()
    return data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("m.sample[0].value.append(1)", "another number of values"),
        ("m.sample[0].location_id[0] = 99", "location 99 is named"),
        ("m.sample[0].location_id[0] = 0", "the location 0"),
        ("m.location[0].mapping_id = 9", "mapping 9 is named"),
        ("m.location[0].line[0].function_id = 1 << 60", "is named, and there is none"),
        ("m.location[0].id = m.location[1].id", "two locations have the same id"),
        ("m.function[0].id = 0", "has the id 0"),
        ("m.string_table[0] = b'x'", "string 0 must be empty"),
        ("m.function[0].name = 1 << 40", "is named"),
        ("m.function[0].name = -1", "is named"),
        ("m.sample[0].label[0].key = 4000", "a label names a string"),
        ("m.ClearField('sample_type')", "no type of sample"),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(change: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        pprof.parse(_broken(change), "x")


def test_names_that_are_no_utf8_survive() -> None:
    data = _broken("m.string_table[m.function[0].name] = bytes([0xff, 0x41])")
    assert pprof.parse(pprof.dump(pprof.parse(data))).functions.name[0] == "\udcffA"


def test_ids_need_not_count_from_one() -> None:
    plain = pprof.parse(_broken(""))
    change = "for l in m.location: l.id += 1 << 62\n"
    change += "for s in m.sample: s.location_id[:] = [i + (1 << 62) for i in s.location_id]"
    assert pprof.parse(_broken(change)).stack.tolist() == plain.stack.tolist()


@pytest.mark.parametrize(
    "sample",
    [
        b"\x0a\x02\x01\x02\x12\x01\x05",  # packed, as all writers have it
        b"\x08\x01\x08\x02\x10\x05",  # one by one
        b"\x0a\x01\x01\x0a\x01\x02\x12\x01\x05",  # in two pieces
        b"\x0a\x03\x01\x82\x00\x12\x01\x05",  # a number with more bytes than it needs
        b"\x7a\x01\x20\x0a\x02\x01\x02\x12\x01\x05",  # with a field that is not known
    ],
)
def test_every_way_of_writing_a_list_is_read(sample: bytes) -> None:
    places = b"\x22\x02\x08\x01\x22\x02\x08\x02"
    columns = pprof.parse(b"\x0a\x02\x08\x01" + b"\x12" + bytes([len(sample)]) + sample + places + b"\x32\x00\x32\x01x")
    columns.check()
    assert (columns.stack.tolist(), values(columns)) == ([0, 1], {"x": [5]})


@pytest.mark.parametrize("ids", [b"\x01\x82", b"\xff" * 10 + b"\x01", b"\x81"])
def test_a_list_that_ends_inside_a_number_is_refused(ids: bytes) -> None:
    sample = b"\x0a" + bytes([len(ids)]) + ids + b"\x12\x01\x05"
    data = b"\x0a\x02\x08\x01\x12" + bytes([len(sample)]) + sample + b"\x22\x02\x08\x01\x32\x00\x32\x01x"
    with pytest.raises(InputError, match=r"is no profile\.proto"):
        pprof.parse(data, "x")


def test_bombs_are_refused() -> None:
    with pytest.raises(InputError, match="unpacks to more than"):
        packed.unpack(gzip.compress(bytes(40 << 20)), "x")
    with pytest.raises(InputError, match="unpacks to more than"):
        packed.unpack(zstandard.ZstdCompressor().compress(bytes(40 << 20)), "x")


@pytest.mark.parametrize("cut", [1, 9, 20])
def test_a_gzip_file_that_was_cut_is_refused(cut: int) -> None:
    with pytest.raises(InputError, match="unpacked"):
        formats.read((CORPUS / "pprof-heap.pb.gz").read_bytes()[:-cut], "x")


def test_several_gzip_members_are_one_file() -> None:
    data = (CORPUS / "gperftools-heap").read_bytes()
    assert packed.unpack(gzip.compress(data[:50]) + gzip.compress(data[50:]), "x") == data


# Names from files that stand here now


def test_binaries_that_are_gone_or_changed_are_said_to_be(tmp_path: Path) -> None:
    program = tmp_path / "prog"
    shutil.copy("/bin/true", program)
    old = tmp_path / "x.heap"
    lines = ["heap profile: 1: 8 [1: 8] @ heapprofile", "1: 8 [1: 8] @ 0x2001", "MAPPED_LIBRARIES:"]
    old.write_text("\n".join([*lines, f"1000-9000 r-xp 00000000 00:00 0 {program}\n"]))
    assert build_foreign.load(old).warnings == []
    os.utime(program, ns=(old.stat().st_mtime_ns + 1,) * 2)
    (newer,) = build_foreign.load(old).warnings
    assert "changed since" in newer
    program.unlink()
    (gone,) = build_foreign.load(old).warnings
    assert "not here" in gone and "values are not affected" in gone


def test_a_file_of_another_build_is_refused(tmp_path: Path) -> None:
    message = profile_class()()
    message.ParseFromString((CORPUS / "pprof-heap_tags.pb").read_bytes())
    for location in message.location:
        del location.line[:]
    message.string_table.extend([b"/bin/true", b"00" * 20])
    message.mapping[0].filename, message.mapping[0].build_id = (
        len(message.string_table) - 2,
        len(message.string_table) - 1,
    )
    (tmp_path / "x.pb").write_bytes(message.SerializeToString())
    (warning,) = build_foreign.load(tmp_path / "x.pb").warnings
    assert "of another build here: /bin/true" in warning
    columns = build_foreign.symbolized(pprof.parse(message.SerializeToString()))
    assert len(columns.locations.function) == 0
    assert all("true is" in why for why in columns.locations.unresolved.values()), columns.locations.unresolved


# Targets


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("a/x.pb.gz", "pprof"),
        ("x.heap", "gperftools"),
        ("X.FOLDED", "collapsed"),
        ("callgrind.out.12", "callgrind"),
        ("x.speedscope.json", "speedscope"),
        ("x.tide", None),
    ],
)
def test_the_format_by_a_file_name(name: str, target: str | None) -> None:
    found = for_name(name)
    assert (found.name if found else None) == target


def test_what_is_lost_is_said() -> None:
    tags = pprof.parse((CORPUS / "pprof-heap_tags.pb").read_bytes())
    lost = {name: " ".join(target.lacks(tags, 0)) for name, target in TARGETS.items()}
    assert lost["pprof"] == ""
    assert "labels (bytes, key1, request)" in lost["gperftools"] and "names of functions" in lost["gperftools"]
    assert "values but inuse_objects" in lost["collapsed"] and "files and lines" in lost["collapsed"]
    assert "stacks" in lost["callgrind"] and "addresses" in lost["speedscope"]
    assert all("estimates" in words for name, words in lost.items() if name != "pprof")
