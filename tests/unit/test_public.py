# SPDX-License-Identifier: Apache-2.0
"""What `heaptide.open` gives: the model's series with its verdict and its ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

import heaptide
from heaptide._errors import NothingToShow
from heaptide.analysis.growth.judge import judge
from heaptide.analysis.ledger import ledger
from tests.builders.capture import CaptureBuilder, Counter

MIB = 1 << 20


def _capture(folder: Path) -> Path:
    built = CaptureBuilder(mode="exact").process(exe="/bin/prog").stacks([(16, [0x10])])
    built.snapshot("time", {16: Counter(4 * MIB, 1)}).memory({501: 6 * MIB, 504: MIB, 510: 8 * MIB})
    path = folder / "x.tide"
    path.write_bytes(built.snapshot("exit", {16: Counter(4 * MIB, 1)}).end().data())
    return path


def test_a_series_has_its_analyses(tmp_path: Path) -> None:
    series = heaptide.open(_capture(tmp_path))
    assert series.ledger() == ledger(series) and series.ledger().rss_bytes == 8 * MIB
    assert series.growth() == judge(series) and series.growth().verdict == "too-short"
    assert series.at("end").total("inuse_space") == 4 * MIB


def test_so_has_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "stacks.txt"
    path.write_text("main;keeps 12\n")
    series = heaptide.open(path)
    with pytest.raises(NothingToShow):
        series.ledger()
