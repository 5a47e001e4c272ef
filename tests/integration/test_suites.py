# SPDX-License-Identifier: Apache-2.0
"""Some of CPython's own tests under the agent: every result as without it.

All of them, and numpy's: python -m bench.suites (docs/design/0005-evidence-issue3.md has its result).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import suites

MODULES = ("test_json", "test_mmap", "test_atexit", "test_thread", "test_array")


@pytest.mark.usefixtures("agent", "recorder")
def test_cpythons_own_tests_end_the_same(tmp_path: Path) -> None:
    suite = next(suite for suite in suites.suites() if suite.name == "cpython")
    if suite.missing:
        pytest.skip(f"{suite.missing} (tests/system-packages.txt)")
    plain = suites.run(suite, MODULES, "plain", tmp_path)
    assert plain.status == 0 and len(plain.results) > 300
    for mode in ("sampled", "exact"):
        ran = suites.run(suite, MODULES, mode, tmp_path)
        assert suites.differences(plain, ran) == [] and ran.status == 0
        assert ran.captures and not ran.unreadable
