# SPDX-License-Identifier: Apache-2.0
"""native/format.h is the law of the capture, heaptide.capture.format its mirror: a small C program prints the law.

Compared are the size of every struct, the offset of every field, and the value of every enumerator and number that the
mirror names. A struct of format.h that the mirror leaves out fails as well.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from heaptide.capture import format as mirror

NATIVE = Path(__file__).resolve().parent.parent / "native"
HEADER = NATIVE / "format.h"
BOOKS = NATIVE / "books.h"  # some of its numbers travel through the capture: special ids, losses, flags of stacks

# Fields of a struct's body: declarations `type a, b;` and arrays `type a[N];`, comments taken out first.
_STRUCT = re.compile(r"^struct (\w+) \{(.*?)^\};", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"^#define HT_(\w+) (?:\d|0x|\()", re.MULTILINE)
_ENUM = re.compile(r"^enum \w+ \{(.*?)^\};", re.MULTILINE | re.DOTALL)

# Names under which the mirror keeps what format.h calls otherwise.
_RENAMED = {"FORMAT_VERSION": "VERSION", "SNAPF_LATE": "SNAPSHOT_LATE", "SNAPF_KILLED": "SNAPSHOT_KILLED"}
_RENAMED |= {"SNAPF_GAP": "SNAPSHOT_GAP", "SNAPF_PARTIAL": "SNAPSHOT_PARTIAL"}


def _without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*", "", text)


def _structs(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, body in _STRUCT.findall(text):
        parts = [part.replace("struct ", "", 1).split() for part in body.split(";") if part.strip()]
        declared = [part[1:] for part in parts]
        fields = [re.sub(r"\[.*", "", word.strip(", ")) for words in declared for word in " ".join(words).split(",")]
        found[name] = [field for field in (field.strip() for field in fields) if field]
    return found


def _constants(text: str) -> list[str]:
    names = _NUMBER.findall(text)
    for body in _ENUM.findall(text):
        names += re.findall(r"\bHT_(\w+)\b", re.sub(r"=[^,]*", "", body))
    return names


def _printer(text: str) -> str:
    lines = []
    for struct, fields in _structs(text).items():
        lines.append(f'P("struct", "{struct}", "", sizeof(struct {struct}));')
        lines += [f'P("field", "{struct}", "{field}", offsetof(struct {struct}, {field}));' for field in fields]
    constants = _constants(text) + _constants(_without_comments(BOOKS.read_text()))
    lines += [f'P("constant", "{name}", "", HT_{name});' for name in constants]
    return f"""
        #include "{BOOKS}"
        #include "{HEADER}"
        #include <stddef.h>
        #include <stdio.h>
        #define P(kind, a, b, value) printf("[\\"%s\\", \\"%s\\", \\"%s\\", %lld]\\n", kind, a, b, (long long)(value))
        int main(void) {{ {" ".join(lines)} return 0; }}
    """


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, str, int]]:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("contract")
    (folder / "print.c").write_text(_printer(_without_comments(HEADER.read_text())))
    subprocess.run(["cc", "-std=gnu17", "-o", folder / "print", folder / "print.c"], check=True)
    printed = subprocess.run([folder / "print"], check=True, capture_output=True, text=True).stdout
    return [tuple(json.loads(line)) for line in printed.splitlines()]


def test_sizes_and_offsets(law: list[tuple[str, str, str, int]]) -> None:
    sizes = {name: value for kind, name, _, value in law if kind == "struct"}
    offsets: dict[str, dict[str, int]] = {name: {} for name in sizes}
    for kind, name, field, value in law:
        if kind == "field":
            offsets[name][field] = value
    assert len(sizes) >= 10 and all(offsets.values()), "the header was not understood"
    assert {name: (sizes[name], offsets[name]) for name in sizes} == mirror.STRUCTS


def test_constants(law: list[tuple[str, str, str, int]]) -> None:
    constants = {name: value for kind, name, _, value in law if kind == "constant"}
    named = {name: _RENAMED.get(name, name) for name in constants}
    wrong = {
        name: (value, getattr(mirror, named[name]))
        for name, value in constants.items()
        if isinstance(getattr(mirror, named[name], None), int) and getattr(mirror, named[name]) != value
    }
    assert not wrong
    missing = [name for name in constants if re.match("REC_|END_|SNAPF_|FORMAT_VERSION", name)]
    assert [name for name in missing if not hasattr(mirror, named[name])] == []


def test_marks() -> None:
    text = HEADER.read_text()
    magic = re.search(r'HT_FILE_MAGIC "(\w+)"', text)
    mark = re.search(r"HT_RECORD_MARK (0x\w+)u", text)
    assert magic is not None and mark is not None
    assert magic[1].encode() == mirror.MAGIC
    assert int(mark[1], 16).to_bytes(4, "little") == mirror.MARK


def _enumerated(constants: dict[str, int], prefix: str) -> dict[int, str]:
    return {value: name.removeprefix(prefix).lower() for name, value in constants.items() if name.startswith(prefix)}


def test_names_of_enumerators(law: list[tuple[str, str, str, int]]) -> None:
    constants = {name: value for kind, name, _, value in law if kind == "constant"}
    assert _enumerated(constants, "SNAP_") == mirror.SNAPSHOT_KINDS
    assert _enumerated(constants, "FIG_") == mirror.FIGURES
    losses, kinds = _enumerated(constants, "LOSS_"), _enumerated(constants, "MEMORY_")
    assert tuple(losses[number] for number in sorted(losses)) == (*mirror.LOSSES, "count")
    assert tuple(kinds[number] for number in sorted(kinds)) == (*mirror.AGENT_MEMORY, "count")
