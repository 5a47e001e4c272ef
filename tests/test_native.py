# SPDX-License-Identifier: Apache-2.0
"""native/tests/test_*.c, each compiled and run plain, under ASan with UBSan, and under TSan.

A test names in its head the sources it is linked with, relative to native/ (none where it includes them):

    // links: agent/cfi.c sys.c

and may take itself out of a sanitizer that cannot work with what it does (`// not under: tsan`, and why). It passes by
exit status 0; what it printed is shown when it does not.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).resolve().parent.parent / "native" / "tests"
SANITIZERS = {
    "plain": (),
    "asan": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"),
    "tsan": ("-fsanitize=thread",),
}
SOURCES = sorted(TESTS.glob("test_*.c"))


def _head(source: Path, word: str) -> list[str]:
    """The words after `// word:` at the head of a test."""
    found = re.search(rf"^// {word}: (.*)$", source.read_text(), re.MULTILINE)
    return found[1].split() if found else []


def _compiles(native_build: ModuleType, flags: tuple[str, ...], folder: Path) -> bool:
    """Whether the compiler has this sanitizer's run-time library."""
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    words = [*native_build.compiler(), *flags, "-o", folder / "empty", folder / "empty.c"]
    return subprocess.run(words, capture_output=True).returncode == 0


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_native(source: Path, sanitizer: str, native_build: ModuleType, tmp_path: Path) -> None:
    flags = SANITIZERS[sanitizer]
    if sanitizer in _head(source, "not under"):
        pytest.skip(f"{source.name} says that it cannot run under {sanitizer}")
    if flags and not _compiles(native_build, flags, tmp_path):
        pytest.skip(f"the compiler has no {sanitizer}")
    program = tmp_path / source.stem
    files = [source, *(native_build.NATIVE / name for name in _head(source, "links"))]
    subprocess.run(native_build.test_command(files, program, flags), check=True)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0"}
    done = subprocess.run([program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
