# SPDX-License-Identifier: Apache-2.0
"""Every capture of the agent against libgcc's unwinder, pc by pc: `bench.unwind_check` with tiny inputs.

At full length, over more programs: python -m bench.unwind_check (docs/design/0005-evidence-issue3.md has its result).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench import unwind_check

CASES = {case.name: case for case in unwind_check.cases()}
LEAST = {
    "cc1plus": 100_000,
    "python": 10_000,
    "jq": 10_000,
    "xmllint": 3_000,
    "gdb": 10_000,
    "ripgrep (Rust)": 3_000,
    "torture-edges": 100_000,
    "torture-inside": 5_000,
    "torture-leaves": 5_000,
    "torture-exceptions": 5_000,
    "torture-coroutines": 5_000,
    "torture-boost_coroutines": 2_000,
    "torture-address_reuse": 2_000,
    "torture-vforks": 2_000,
}
"""Programs of the suite, and how many captures each makes at least: less, and nothing was checked."""


@pytest.fixture(scope="session")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unwind_check.build(tmp_path_factory.mktemp("unwind"))


RUNS = [(name, manner) for name in LEAST for manner in unwind_check.MANNERS if (name, manner) != ("cc1plus", "sampled")]
"""The compiler takes its time; the other manner has it at full length."""
LEAVES = "torture-leaves"
"""Its handlers leave by siglongjmp, now and then from between the two counts of one comparison."""
SELDOM_TWICE = ("xmllint", "torture-inside", "torture-leaves")
"""Programs that hardly ever allocate twice from one stack without allocating from another in between."""


@pytest.mark.parametrize(("name", "manner"), RUNS)
def test_no_capture_differs(name: str, manner: str, checker: Path, tmp_path: Path) -> None:
    case = CASES[name]
    if case.missing:
        pytest.skip(f"{case.missing} (tests/system-packages.txt)")
    counts = unwind_check.check(case, manner, 0, checker, tmp_path)
    assert counts.captures >= LEAST[name]
    assert counts.mismatches == 0, (tmp_path / "counts.txt").read_text()[:4000]
    between = abs(counts.captures - counts.known - counts.remembered - counts.walked)
    assert between == 0 or (name == LEAVES and between < counts.captures / 100)
    if manner == "exact":
        assert counts.remembered and (counts.known or name in SELDOM_TWICE), "the memo was not asked"
    else:
        assert not counts.known and not counts.remembered, "not every capture was a walk"


def test_the_comparison_sees_one_wrong_pc(checker: Path, tmp_path: Path) -> None:
    words = ["/usr/bin/python3", "-S", "-c", "print(sorted(str(i) for i in range(20000))[0])"]
    spoiled = {"PYTHONMALLOC": "malloc", "UNWIND_CHECK_SPOIL": "1"}
    subprocess.run(words, env=unwind_check.environment(checker, tmp_path, spoiled), check=True, capture_output=True)
    counts = unwind_check.counts_in(tmp_path)
    assert counts.captures > 20_000 and counts.mismatches == counts.captures // 1000
    assert "mismatch (known)" in (tmp_path / "counts.txt").read_text()
