# SPDX-License-Identifier: Apache-2.0
"""Rows: what real programs cost under each form: user+sys as ratios of paired runs, peak memory, bytes written.

Inputs are generated, the same in every run; `size` stretches them. At size 1 a program takes about a second here.
"""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Line, Row, medians, ratios
from bench.forms import Form
from bench.running import Bench, Cost, run, started

FORMS = ("plain", "sampled", "exact", "heaptrack")
MIB = 1 << 20


@dataclass(frozen=True)
class Program:
    """How to run it; None from `missing` when it can be."""

    name: str
    command: Callable[[Path, int], list[str]]
    """Writes the input into a folder; for size 0 a tiny one."""
    variables: tuple[str, ...] = ()
    needs: str = ""
    package: str = ""

    def missing(self) -> str | None:
        path = shutil.which(self.needs or self.name)
        return None if path else f"{self.name}: not installed (Debian: apt install {self.package or self.name})"


def once_written(path: Path, text: Callable[[], str]) -> str:
    """The path, written before the first run only."""
    if not path.exists():
        path.write_text(text())
    return str(path)


def jq(folder: Path, size: int) -> list[str]:
    """Parses an array of objects, groups and counts them."""

    def text() -> str:
        draw = random.Random(1)
        things = range(90_000 * size or 500)
        return json.dumps([{"id": i, "kind": f"k{draw.randrange(500)}", "at": [draw.random()] * 3} for i in things])

    query = "group_by(.kind) | map({kind: .[0].kind, n: length, sum: (map(.at[0]) | add)})"
    return ["jq", "-c", query, once_written(folder / "in.json", text)]


def xmllint(folder: Path, size: int) -> list[str]:
    """Builds a document's tree and searches it."""

    def text() -> str:
        draw = random.Random(1)
        item = '<item id="{}" kind="k{}"><name>{}</name><price unit="EUR">{:.2f}</price><text>{}</text></item>\n'
        rows = [
            item.format(i, draw.randrange(50), draw.random(), draw.random(), "x" * draw.randrange(99))
            for i in range(150_000 * size or 500)
        ]
        return f"<root>\n{''.join(rows)}</root>\n"

    return ["xmllint", "--xpath", 'count(//item[@kind="k7"]/price)', once_written(folder / "in.xml", text)]


PYTHON = """
import json, re, sys
words = {}
for turn in range(int(sys.argv[1])):
    rows = [{"key": f"k{i % 97}", "value": i * 3, "tags": [str(i), str(-i)]} for i in range(2000)]
    for row in json.loads(json.dumps(rows)):
        words.setdefault(row["key"], []).append((row["value"], tuple(row["tags"])))
    for word in re.findall(r"[a-z]+[0-9]", " ".join(words)):
        words[word] = words.get(word, [])[-50:]
print(len(words))
"""


def python(folder: Path, size: int) -> list[str]:
    """JSON, dictionaries, lists and regular expressions, each object a block of malloc."""
    script = once_written(folder / "churn.py", lambda: PYTHON)
    return ["/usr/bin/python3", "-S", script, str(50 * size or 2)]


CXX = """
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
template <int N> struct Tagged {
    std::string name;
    int value = N;
    bool operator<(const Tagged &o) const { return name < o.name; }
};
template <int N> int work(int x) {
    std::map<Tagged<N>, std::vector<std::string>> table;
    std::unordered_map<std::string, std::shared_ptr<Tagged<N>>> index;
    std::vector<std::function<int(int)>> calls;
    for (int i = 0; i < x; i++) {
        table[Tagged<N>{std::to_string(i)}].push_back("x");
        index.emplace(std::to_string(i), std::make_shared<Tagged<N>>());
        calls.push_back([i](int y) { return i + y * N; });
    }
    std::sort(calls.begin(), calls.end(), [](const auto &a, const auto &b) { return a(1) < b(1); });
    return (int)(table.size() + index.size()) + (calls.empty() ? 0 : calls[0](x));
}
"""


def cc1plus(folder: Path, size: int) -> list[str]:
    """The compiler proper on preprocessed source: templates, instantiated again and again."""

    def text() -> str:
        calls = "".join(f"    sum += work<{n}>(x);\n" for n in range(size * 2 or 1))
        source = f"{CXX}int all(int x) {{\n    int sum = 0;\n{calls}    return sum;\n}}\n"
        command = ["g++", "-std=c++17", "-E", "-P", "-x", "c++", "-"]
        return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout

    compiler = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True).stdout
    flags = ["-quiet", "-std=c++17", "-O1", "-fpreprocessed"]
    return [compiler.strip(), *flags, once_written(folder / "in.ii", text), "-o", "/dev/null"]


# ---- A server that somebody has to ask -------------------------------------------------------------------------------


def redis_run(bench: Bench, form: Form, size: int) -> Cost:
    """redis-server while redis-benchmark talks to it; its cost alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    server = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    ask = ["redis-benchmark", "-q", "-h", "127.0.0.1", "-p", port, "-c", "20", "-P", "16", "-r", "50000", "-d", "100"]
    with started(bench, form, server) as running:
        await_port(int(port))
        tests = ["-t", "set,get,lpush,lrange_100,hset,zadd,mset", "-n", str(30_000 * size or 1000)]
        subprocess.run([*ask, *tests], stdout=subprocess.DEVNULL, check=True, timeout=300)
        subprocess.run(["redis-cli", "-p", port, "shutdown", "nosave"], check=True, timeout=30)
        return running.finish()


def await_port(port: int) -> None:
    """Until somebody listens."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit(f"bench: nobody listens on port {port}")


# ---- Rows ------------------------------------------------------------------------------------------------------------

PROGRAMS = [
    Program("jq", jq),
    Program("xmllint", xmllint, package="libxml2-utils"),
    Program("python", python, ("PYTHONMALLOC=malloc",), "/usr/bin/python3", "python3"),
    Program("cc1plus", cc1plus, needs="g++", package="g++"),
    Program("redis", lambda *_: [], needs="redis-server", package="redis-server redis-tools"),
]


def pairs(bench: Bench) -> int:
    """How many runs of each form."""
    return bench.choose(1, max(2, bench.rounds + 2), 30)


def measure(bench: Bench, program: Program) -> Iterator[Line | None]:
    """All forms in turn, pair by pair."""
    missing = program.missing()
    if missing:
        bench.notes.append(missing)
        return
    costs: dict[str, list[Cost]] = {}
    size = bench.choose(0, 1, 10)
    folder = bench.folder / program.name
    folder.mkdir(exist_ok=True)
    command = program.command(folder, size)
    for _ in range(pairs(bench)):
        for form in bench.some_forms(*FORMS):
            is_redis = program.name == "redis"
            cost = redis_run(bench, form, size) if is_redis else run(bench, form, command, variables=program.variables)
            costs.setdefault(form.name, []).append(cost)
            yield None
    yield from lines(program.name, costs)


def lines(name: str, costs: dict[str, list[Cost]]) -> Iterator[Line]:
    """What one program's runs came to."""
    recorded = {form: those for form, those in costs.items() if form in ("sampled", "exact")}
    yield Line(f"{name}, user+sys", "s", ratios({form: [c.cpu_s for c in those] for form, those in costs.items()}))
    peaks = {form: [c.peak_bytes / MIB for c in those] for form, those in costs.items()}
    yield Line(f"{name}, peak memory", "MiB", medians(peaks))
    written = {form: [c.written_bytes / 1024 for c in those] for form, those in recorded.items()}
    yield Line(f"{name}, bytes written", "KiB", medians(written))
    recorder = {form: [c.recorder_cpu_s for c in those] for form, those in recorded.items()}
    yield Line(f"{name}, the recorder's CPU", "s", medians(recorder, 3))


def row(program: Program) -> Row:
    """A program's row."""

    def steps(bench: Bench) -> int:
        return 0 if program.missing() else pairs(bench) * len(bench.some_forms(*FORMS))

    return Row(program.name, steps, lambda bench: measure(bench, program))


def rows() -> list[Row]:
    """In the table's order."""
    return [row(program) for program in PROGRAMS]
