# SPDX-License-Identifier: Apache-2.0
"""Numbers to text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.cli.quantities import parse_duration, parse_size
from heaptide.render import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (10 * 1024, "10.0 KiB"),
        (1023.4 * 1024, "1023 KiB"),
        (1023.9 * 1024, "1.00 MiB"),
        (38_400_000, "36.6 MiB"),
        (-1536, "-1.50 KiB"),
        (3 << 40, "3.00 TiB"),
        (1 << 70, "1024 EiB"),
    ],
)
def test_size(value: float, text: str) -> None:
    assert units.size(value) == text


def test_signs_are_shown_in_differences() -> None:
    assert units.size(1024, signed=True) == "+1.00 KiB"
    assert units.size(0, signed=True) == "0 B"
    assert units.size(0.4, signed=True) == units.size(-0.4) == units.size(-1e-9) == "0 B", "nothing has no sign"
    assert units.size(-0.6) == "-1 B"
    assert units.size_range(-0.3, 1023) == "0..1023 B"
    assert units.count(-3, signed=True) == "-3"
    assert units.count(1234.4, signed=True) == "+1,234"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 0, "-"),
        (0, 5, "0 %"),
        (1, 3, "33.3 %"),
        (-1, 3, "-33.3 %"),
        (3, 3, "100 %"),
        (1, 100_000, "<0.1 %"),
        (-1, 100_000, "<0.1 %"),
        (9995, 10000, "100 %"),
        (3, 1, "300 %"),
    ],
)
def test_percent(part: float, whole: float, text: str) -> None:
    assert units.percent(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.08, "80 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 00 s"),
        (250, "4 min 10 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (5 * 86400 + 4 * 3600, "5 d 04 h"),
        (-12.34, "-12.3 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


def test_offsets() -> None:
    assert units.offset(12.34) == "+00:12.3"
    assert units.offset(59.96) == "+01:00.0"
    assert units.offset(3 * 3600 + 12 * 60 + 5) == "+03:12:05"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [  # as `go tool pprof` prints them
        (1524568, "kB", "1488.84kB"),
        (1048576, "MB", "1MB"),
        (0, "MB", "0"),
        (1024 * 400, "auto", "400kB"),
        (-4710, "B", "-4710B"),
        (-0.001, "MB", "0"),
        (1 << 30, "megabytes", "1024MB"),
    ],
)
def test_pprof_values(value: float, unit: str, text: str) -> None:
    assert units.pprof_value(value, "bytes", unit) == text


@pytest.mark.parametrize(
    ("value", "counted_in", "unit", "text"),
    [
        (150, "count", "minimum", "150"),
        (149_504_000, "nanoseconds", "ms", "149.50ms"),
        (7_200_000, "milliseconds", "auto", "2hrs"),
        (5, "widgets", "widgets", "5widgets"),
        (5, "bytes", "seconds", "5B"),
        (3, "gcu", "auto", "3GCU"),
    ],
)
def test_pprof_values_of_other_units(value: float, counted_in: str, unit: str, text: str) -> None:
    assert units.pprof_value(value, counted_in, unit) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 1, "  100%"),
        (9997, 10000, "  100%"),
        (9438, 10000, "94.38%"),
        (1, 200, "  0.5%"),
        (-1, 2, "50.00%"),
        (0, 0, "    0%"),
    ],
)
def test_pprof_percentages(part: float, whole: float, text: str) -> None:
    assert units.pprof_percent(part, whole) == text


def test_pprof_takes_the_unit_of_the_smallest_value_up_to_a_hundredfold() -> None:
    assert units.pprof_unit(472, 500_000, "bytes") == "kB"
    assert units.pprof_unit(472, 4000, "bytes") == "B"
    assert units.pprof_unit(4096, 3 << 20, "bytes") == "kB"
    assert units.pprof_unit(5, 5000, "count") == "count"
    assert units.pprof_unit(10, 1000, "milliseconds") == "ms"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("512KiB", 512 << 10),
        ("512k", 512 << 10),
        ("64MiB", 64 << 20),
        ("64 MiB", 64 << 20),
        ("1.5G", 3 << 29),
        ("10MB", 10_000_000),
        ("1kB", 1000),
        ("100B", 100),
        ("107374182400", 107374182400),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1 2", "10 XB", "1e9", "MiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("10s", 10), ("5m", 300), ("2h", 7200), ("3d", 259200)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "ms", "-5s", "5 weeks"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@given(st.integers(0, 1 << 62))
def test_a_size_is_near_its_text(value: int) -> None:
    assert abs(parse_size(units.size(value)) - value) <= value * 0.006 if value < 1 << 50 else True


@given(st.floats(-1e18, 1e18), st.floats(-1e18, 1e18))
def test_no_number_is_without_a_text(value: float, whole: float) -> None:
    for text in (units.size(value), units.count(value), units.percent(value, whole), units.pprof_percent(value, whole)):
        assert text and "nan" not in text
