# SPDX-License-Identifier: Apache-2.0
"""Leaks of released software, found in the binaries that were released: Debian's jq and two wheels of PyPI.

The leaks, the fixed versions and the triggers are listed in shared/known-leaks/README.md. How much leaks is not taken
from us: Debian's tcmalloc counts it for jq, and for the wheels the size of a block times the number of calls.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from heaptide.analysis.site import site_of
from heaptide.model import Frame, Profile, Series
from tests.integration import realworld as rw

JQ_ITEMS = 400_000
JQ_ITEMS_COUNTED = 20_000  # tcmalloc's unwinder needs 45 us an allocation: its count is of a run a twentieth as long
MIB = 1 << 20


def _jq(shared: Path, what: str, items: int, prefix: str = "") -> list[str]:
    script = shared / "known-leaks" / "jq16_trimstr.sh"
    return ["env", f"RUN={prefix}", "sh", str(script), what, str(items)]


def _record_jq(shared: Path, folder: Path, what: str, *options: str) -> Series:
    output = folder / f"{what}.tide"
    prefix = " ".join([sys.executable, "-m", "heaptide", "run", *options, "-o", str(output), "--"])
    done = rw.execute(_jq(shared, what, JQ_ITEMS, prefix))
    assert done.returncode == 0 and b"heaptide: wrote" in done.stderr
    return rw.Recording(output, done).series


@pytest.fixture(scope="module")
def jq_bytes_an_item(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """Bytes that jq leaks for each item, counted by Debian's tcmalloc."""
    if not rw.TCMALLOC.exists():
        pytest.skip(f"no {rw.TCMALLOC}")
    folder = tmp_path_factory.mktemp("tcmalloc")
    prefix = f"env LD_PRELOAD={rw.TCMALLOC} HEAPPROFILE={folder / 'jq'}"
    assert rw.execute(_jq(shared, "leak", JQ_ITEMS_COUNTED, prefix)).returncode == 0
    return rw.heap_totals(next(folder.glob("*.heap"))).inuse_space / JQ_ITEMS_COUNTED


def _is_leaking(frames: tuple[Frame, ...]) -> bool:
    """jq_next calls a builtin (static: no symbol) that makes an error value and forgets it."""
    names = [frame.function for frame in frames]
    return "jq_next" in names and bool({"jv_string_sized", "jv_invalid_with_msg"} & set(names))


def _largest_first(profile: Profile, value: str = "inuse_space") -> list[int]:
    column = profile.column(value)
    return sorted(range(len(profile)), key=lambda row: -column[row])


def _assert_frames_are_told(profile: Profile, rows: list[int]) -> None:
    """Every frame has a name, or a module, an offset in it and the reason why it has no name."""
    for row in rows:
        frames = profile.frames_of(row)
        assert len(frames) >= 6, frames
        for frame in frames:
            assert frame.module, frame
            assert frame.function or (frame.unresolved and frame.address is not None), frame


def test_jq_exact(shared: Path, tmp_path: Path, recorder: Path, agent: Path, jq_bytes_an_item: float) -> None:
    series = _record_jq(shared, tmp_path, "leak", "--exact")
    shown = rw.execute([sys.executable, "-m", "heaptide", "top", series.path, "--json"])
    rows = json.loads(shown.stdout)["rows"]
    assert [row["function"] for row in rows[:2]] == ["jv_string_sized", "jv_invalid_with_msg"]
    profile = series.at("end")
    leaked = jq_bytes_an_item * JQ_ITEMS
    first, second = _largest_first(profile)[:2]
    assert _is_leaking(profile.frames_of(first)) and _is_leaking(profile.frames_of(second))
    assert profile.column("inuse_objects")[[first, second]].tolist() == [JQ_ITEMS, JQ_ITEMS]
    assert rw.sum_where(profile, "inuse_space", _is_leaking) == pytest.approx(leaked, rel=0.01)
    _assert_frames_are_told(profile, [first, second])


def test_jq_sampled(shared: Path, tmp_path: Path, recorder: Path, agent: Path, jq_bytes_an_item: float) -> None:
    """The truth lies within the printed 95 % interval; the seed makes this the same draw every time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEAPTIDE_SEED", "1")
        profile = _record_jq(shared, tmp_path, "leak").at("end")
    rows = rw.rows_where(profile, _is_leaking)
    assert set(_largest_first(profile)[:2]) <= set(rows)
    seen = rw.sum_where(profile, "inuse_space", _is_leaking)
    error = float((profile.errors("inuse_space")[rows] ** 2).sum() ** 0.5)
    assert abs(seen - jq_bytes_an_item * JQ_ITEMS) <= error
    assert error < 0.2 * seen, "an interval that says nothing"
    _assert_frames_are_told(profile, _largest_first(profile)[:2])


@pytest.mark.parametrize("options", [("--exact",), ()], ids=["exact", "sampled"])
def test_jq_control(shared: Path, tmp_path: Path, recorder: Path, agent: Path, options: tuple[str, ...]) -> None:
    """The same work without the bug: nothing of that size at any moment (its compiler holds 0.6 MB for a while)."""
    series = _record_jq(shared, tmp_path, "control", *options)
    assert series.at("peak").total("inuse_space") < 96 * JQ_ITEMS / 20
    assert series.at("exit").total("alloc_space") > 100 * MIB, "it did work"


# ---- Wheels of PyPI --------------------------------------------------------------------------------------------------

Wheel = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """wheel("hiredis", "3.1.0"): a folder with that version in it; skips where no package index can be reached."""
    root = tmp_path_factory.mktemp("wheels")

    def install(package: str, version: str) -> Path:
        folder = root / f"{package}-{version}"
        if not folder.exists():
            words = ["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder)]
            done = rw.execute([sys.executable, "-m", "pip", *words, f"{package}=={version}"])
            if done.returncode != 0:
                pytest.skip(f"pip cannot install {package} {version}: {done.stderr.decode()[-200:]}")
        return folder

    return install


def _record_python(trigger: Path, package: Path, folder: Path, recorder: Path, *options: str) -> tuple[Series, bytes]:
    env = {"PYTHONMALLOC": "malloc", "PYTHONPATH": str(package), "HEAPTIDE_SEED": "7"}
    recording = rw.record([sys.executable, str(trigger)], folder, recorder, *options, env=env)
    return recording.series, recording.done.stdout


def _agrees(seen: float, error: float, truth: float) -> bool:
    """Within 1 % (exact mode), or within twice the half-width of the 95 % interval: one draw in ten thousand is not.
    (Addresses and paths differ from run to run, and so does the draw, whatever the seed.)"""
    return abs(seen - truth) <= max(2 * error, 0.01 * truth)


BOTH = pytest.mark.parametrize("options", [("--exact",), ()], ids=["exact", "sampled"])
HIREDIS_CALLS, HIREDIS_VALUES, HIREDIS_STRING = 80_000, 2, 33 + 1000  # a bytes object of 1,000 bytes
UJSON_CALLS, UJSON_DIGITS = 160_000, 1001  # the digits and a NUL


@BOTH
def test_hiredis(shared: Path, tmp_path: Path, recorder: Path, agent: Path, wheel: Wheel, options: tuple[str]) -> None:
    trigger = shared / "known-leaks" / "hiredis_resp3_map.py"
    series, said = _record_python(trigger, wheel("hiredis", "3.1.0"), tmp_path, recorder, *options)
    assert b"verdict=LEAK" in said
    profile = series.at("end")
    row = _largest_first(profile)[0]
    site = site_of(profile.frames_of(row))
    assert site is not None and site.function == "createDecodedString"
    assert site.file is not None and site.file.endswith("src/reader.c")
    assert site.line is not None and site.line == _addr2line(wheel("hiredis", "3.1.0"), site)
    assert any(frame.function == "processBulkItem" for frame in profile.frames_of(row))
    truth = HIREDIS_CALLS * HIREDIS_VALUES * HIREDIS_STRING
    seen = rw.sum_where(profile, "inuse_space", rw.passes_through("createDecodedString"))
    assert _agrees(seen, profile.error("inuse_space"), truth)


def _addr2line(package: Path, site: Frame) -> int:
    """The line by binutils, of the call before the return address; 0 where it has no line or is not installed."""
    library = next(package.rglob("hiredis*.so"))
    assert site.address is not None
    done = rw.execute(["addr2line", "-e", str(library), f"{site.address:#x}"])
    return int(done.stdout.split(b":")[-1].split()[0].replace(b"?", b"0"))


@BOTH
def test_ujson(shared: Path, tmp_path: Path, recorder: Path, agent: Path, wheel: Wheel, options: tuple[str]) -> None:
    """A stripped wheel: the leak stands at an address of the module, and the frame says why it has no name."""
    trigger = shared / "known-leaks" / "ujson_bigint.py"
    series, said = _record_python(trigger, wheel("ujson", "5.10.0"), tmp_path, recorder, *options)
    assert b"verdict=LEAK" in said
    profile = series.at("end")
    row = _largest_first(profile)[0]
    site = site_of(profile.frames_of(row))
    assert site is not None and site.module is not None and "ujson" in site.module
    assert site.function or ("stripped" in (site.unresolved or "") and site.address is not None)
    seen, error = float(profile.column("inuse_space")[row]), float(profile.errors("inuse_space")[row])
    assert _agrees(seen, error, UJSON_CALLS * UJSON_DIGITS)


@BOTH
@pytest.mark.parametrize(
    ("package", "version", "trigger"),
    [("hiredis", "3.1.1", "hiredis_resp3_map.py"), ("ujson", "5.12.0", "ujson_bigint.py")],
)
def test_fixed_versions(
    shared: Path,
    tmp_path: Path,
    recorder: Path,
    agent: Path,
    wheel: Wheel,
    package: str,
    version: str,
    trigger: str,
    options: tuple[str],
) -> None:
    script = shared / "known-leaks" / trigger
    series, said = _record_python(script, wheel(package, version), tmp_path, recorder, *options)
    assert b"verdict=flat" in said
    inside = rw.sum_where(
        series.at("end"), "inuse_space", lambda frames: any(package in (frame.module or "") for frame in frames)
    )
    assert inside < MIB, "the leaking version holds a hundred times as much"
    assert series.at("exit").total("alloc_space") > 50 * MIB, "it did work"
