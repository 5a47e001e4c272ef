# SPDX-License-Identifier: Apache-2.0
"""`heaptide pprof` against Go's pprof, byte for byte, over combinations of options drawn from a seed.

Left out is where the installed Go (1.19) answers otherwise than the version that the goldens are of: `-raw` (columns),
`-tags` (its layout), `-noinlines` with addresses, `-all_frames` (newer); where Go answers at random: nodes of a tree in
a picture that are equal but for their place; and where we know better: `-mean` in a tree, whose edges Go does not
divide, shares of differences, which have no sign there.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from heaptide._errors import HeaptideError
from heaptide.cli import pprof_inputs, pprof_outputs
from heaptide.cli.pprof_flags import parse

GOLDENS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "pprof-goldens"
INPUTS = [*sorted((GOLDENS / "driver" / "inputs").glob("*.pb.gz")), *sorted((GOLDENS / "legacy").glob("*.heap"))]
OUTPUTS = ("-top", "-tree", "-traces", "-dot", "-callgrind", "-comments", "-peek=.")
GRANULARITIES = ("", "-functions", "-filefunctions", "-files", "-lines", "-addresses")
FILTERS = [
    "-focus=line1000",
    "-focus=[24]00",
    "-focus=buildid",
    "-focus=binary",
    "-focus=malloc",
    "-ignore=3002",
    "-hide=2001",
    "-hide=binary",
    "-show=line[13]",
    "-show=file1000",
    "-show_from=3002",
    "-prune_from=2000",
    "-prune_from=300",
    "-tagfocus=100kb:",
    "-tagfocus=tag1",
    "-tagignore=key1",
    "-tagignore=:200kb",
    "-tagfocus=bytes=1600kb",
    "-tagshow=key",
    "-taghide=bytes",
    "-tagroot=key1,bytes",
    "-tagleaf=key1",
]
MORE = [
    "-cum",
    "-call_tree",
    "-nodecount=3",
    "-nodefraction=0.1",
    "-edgefraction=0.3",
    "-relative_percentages",
    "-unit=mb",
    "-unit=auto",
    "-divide_by=3",
    "-sample_index=0",
    "-drop_negative",
    "-compact_labels",
    "-trim=false",
]
COMBINATIONS = 60


def combinations() -> list[list[str]]:
    """Command lines, the same in every run."""
    if not INPUTS:
        return []
    random_ = random.Random(20261122)
    lines = []
    for _ in range(COMBINATIONS):
        profile = random_.choice(INPUTS)
        chosen = {
            random_.choice(OUTPUTS),
            random_.choice(GRANULARITIES),
            random_.choice(FILTERS),
            random_.choice([*FILTERS, *[""] * len(FILTERS)]),
            *random_.sample(["", *MORE], 2),
        }
        if "-dot" in chosen:
            chosen.discard("-call_tree")
        lines.append(["-symbolize=none", *sorted(chosen - {""}), str(profile)])
    return lines


@pytest.fixture(scope="module")
def go_pprof() -> str:
    if shutil.which("go") is None:
        pytest.skip("not installed: go (tests/system-packages.txt)")
    return subprocess.run(["go", "tool", "-n", "pprof"], capture_output=True, text=True, check=True).stdout.strip()


def ours(arguments: list[str]) -> bytes:
    request = parse(arguments)
    return pprof_outputs.render(request, pprof_inputs.gather(request))


@pytest.mark.parametrize("arguments", combinations(), ids=lambda arguments: " ".join(arguments[1:-1]))
def test_the_same_answer(go_pprof: str, arguments: list[str]) -> None:
    theirs = subprocess.run([go_pprof, *arguments], capture_output=True, check=False)
    if theirs.returncode:
        with pytest.raises(HeaptideError, match="matches"):
            ours(arguments)
        assert b"no matches found" in theirs.stderr
    else:
        assert ours(arguments).decode() == theirs.stdout.decode()


@pytest.mark.parametrize("flag", ["-base", "-diff_base"])
@pytest.mark.parametrize("output", ["-traces", "-comments", "-callgrind"])
def test_the_same_difference(go_pprof: str, flag: str, output: str, shared: Path) -> None:
    inputs = shared / "data" / "pprof-goldens" / "driver" / "inputs"
    arguments = ["-symbolize=none", output, f"{flag}={inputs / 'heap_tags.pb.gz'}", str(inputs / "heap_request.pb.gz")]
    theirs = subprocess.run([go_pprof, *arguments], capture_output=True, check=True)
    assert ours(arguments).decode() == theirs.stdout.decode()


def test_the_same_sum(go_pprof: str, shared: Path) -> None:
    inputs = shared / "data" / "pprof-goldens" / "driver" / "inputs"
    arguments = ["-symbolize=none", "-tree", *(str(inputs / f"heap_{name}.pb.gz") for name in ("tags", "sizetags"))]
    theirs = subprocess.run([go_pprof, *arguments], capture_output=True, check=True)
    assert ours(arguments).decode() == theirs.stdout.decode()


@pytest.mark.parametrize("output", ["-proto", "-topproto"])
def test_go_reads_what_we_write(go_pprof: str, output: str, shared: Path, tmp_path: Path) -> None:
    profile = shared / "data" / "pprof-goldens" / "driver" / "inputs" / "heap_alloc.pb.gz"
    written = tmp_path / "out.pb.gz"
    written.write_bytes(ours(["-symbolize=none", output, str(profile)]))
    theirs = tmp_path / "go.pb.gz"
    subprocess.run([go_pprof, "-symbolize=none", output, f"-output={theirs}", str(profile)], check=True)
    answers = [
        subprocess.run([go_pprof, "-symbolize=none", "-raw", str(path)], capture_output=True, check=True).stdout
        for path in (written, theirs)
    ]
    assert answers[0].decode() == answers[1].decode()
