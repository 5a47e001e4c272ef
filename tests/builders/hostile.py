# SPDX-License-Identifier: Apache-2.0
"""Names that a program, or whoever made a file, may choose to do harm with; and recordings that are full of them.

A name that is printed must not command a terminal, end a line or a quotation, become markup or a script, or fill a
disk. Bytes that are no UTF-8 stand as lone surrogates, the way Python reads them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from heaptide.capture import format as fmt
from heaptide.formats import pprof
from heaptide.model.columns import Columns, Functions
from tests.builders.capture import CaptureBuilder, Counter
from tests.builders.elf_writer import ElfWriter, Sym
from tests.builders.some_columns import some_columns

NAMES = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "two\nlines\r\nor three",
    "tab\there",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[31mred",
    "\x90c1\x85\x9b31m",
    "right\u202eto left\u2066",
    "line\u2028paragraph\u2029",
    "bytes \udc9b\udcff\udce9",
    "%n%s%x {0} $(id) `id`",
    "--><!-- ]]> &lt; <![CDATA[",
    'back\\slash \\N\\l\\G "] evil [label="',
    "$\\frac{1}{0}$ [bold]markup[/bold]",
    "semi;colon fn=(1) (2)",
    "-",
    "\u4e2d\u6587 gr\u00f6\u00dfe",
    "\uffff\ufffe\ufdd0",
    "A" * 100_000,
)
MIB = 1 << 20
_FIGURES = {name: key for key, name in fmt.FIGURES.items()}
_NO_TEXT = b"\x9b\xff\xe9"
_STAND_IN = b"@@@"


def a_columns() -> Columns:
    """Each name is a function, its file, its module and a label; all of them lie below main, one inlined."""
    words = [f"f{number}" for number in range(len(NAMES))]
    stacks = {f"{word} main": ((number + 1) * 3, (number + 1) * MIB) for number, word in enumerate(words)}
    stacks |= {"f0+ f1 main": (2, MIB)}
    labels = [{name[:3000]: name, f"size{name[:10]}": (number, name[:20])} for number, name in enumerate(NAMES)]
    columns = some_columns(stacks, labels)
    evil = dict(zip(words, NAMES, strict=True))
    functions = Functions(
        [evil.get(word, word) for word in columns.functions.name],
        [evil.get(word, word) for word in columns.functions.system_name],
        [f"/src/{evil.get(word, word)}" for word in columns.functions.name],
        columns.functions.start_line,
    )
    mappings = tuple(replace(one, file=f"/bin/{NAMES[0]}{NAMES[5]}\n") for one in columns.mappings)
    return replace(columns, functions=functions, mappings=mappings, comments=NAMES)


def a_pprof_file(folder: Path) -> Path:
    """Everything that profile.proto can name."""
    path = folder / "evil.pb.gz"
    path.write_bytes(pprof.dump(a_columns()))
    return path


def a_folded_file(folder: Path) -> Path:
    """Collapsed stacks. A name ends there at a line break or semicolon."""
    names = [name.replace("\n", "").replace("\r", "").replace(";", ",") for name in NAMES]
    text = "".join(f"main;{name};leaf {number + 1}\n" for number, name in enumerate(names))
    path = folder / "evil.folded"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def a_heap_file(folder: Path) -> Path:
    """gperftools' text: the names of modules."""
    path = folder / "evil.heap"
    modules = [name.replace("\n", "").replace("\r", "") for name in NAMES]
    maps = [
        f"{0x400000 + 0x1000 * number:x}-{0x401000 + 0x1000 * number:x} r-xp 00000000 00:00 {number + 1} /bin/{name}\n"
        for number, name in enumerate(modules)
    ]
    stacks = [
        f"  1: {4096 * (number + 1)} [  2: {8192 * (number + 1)}] @ {0x400100 + 0x1000 * number:#x} 0x400200\n"
        for number in range(len(modules))
    ]
    size = 4096 * len(modules) * (len(modules) + 1) // 2
    head = f"heap profile: {len(modules)}: {size} [{2 * len(modules)}: {2 * size}] @ heapprofile\n"
    text = "".join([head, *stacks, "\nMAPPED_LIBRARIES:\n", *maps])
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def a_program(folder: Path) -> Path:
    """An ELF file whose symbols have these names, in a file and a folder with such names."""
    home = folder / "<b>\x1b[31m\n\u202e"
    home.mkdir()
    names = [name.replace("\udc9b\udcff\udce9", _STAND_IN.decode()) for name in NAMES]
    symbols = [Sym(name, 0x1000 + 16 * number, 16) for number, name in enumerate(names)]
    data = ElfWriter().build_id(b"\xab" * 20).text().symbols(symbols).build()
    path = home / "evil<script>\x1b]0;x\x07.so"
    path.write_bytes(data.replace(_STAND_IN, _NO_TEXT))
    return path


def a_capture(folder: Path, shots: int = 40) -> Path:
    """A recording of that program: every function leaks, and one of them more than the others; a step; a shutdown."""
    program = a_program(folder)
    evil = [name.replace("\0", "").encode("utf-8", "replace").decode()[:2000] for name in NAMES]
    capture = CaptureBuilder().process(exe=str(program), argv=["evil", *evil])
    capture.module(1, 0x400000, 0x402000, bias=0x400000, path=str(program), flags=1)
    stacks = [(16 + number, [0x401001 + 16 * number, 0x401001 + 16]) for number in range(len(NAMES))]
    capture.stacks(stacks)
    for name in evil:
        capture.note(1, name)
    for shot in range(1, shots + 1):
        step = 50 * MIB if shot > 20 else 0
        counters = {
            stack: Counter(alloc_bytes=shot * (number + 1) * MIB + (step if number == 3 else 0), alloc_objects=shot)
            for number, (stack, _) in enumerate(stacks)
        }
        capture.snapshot("time", counters)
        heap = sum(counter.alloc_bytes for counter in counters.values()) + 5 * MIB
        figures = {"part_heap": heap, "part_code": MIB, "part_rss": heap + MIB}
        capture.memory({_FIGURES[name]: value for name, value in figures.items()})
    capture.snapshot("shutdown", counters).snapshot("exit", counters).end()
    path = folder / "evil<i>\x1b[31m.1.tide"
    path.write_bytes(capture.data())
    return path
