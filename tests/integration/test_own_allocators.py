# SPDX-License-Identifier: Apache-2.0
"""Programs that take malloc from nobody, or may not have it taken: left as they are and told so, by run and doctor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heaptide.executable import check_program
from tests.builders import torture

SOURCE = """
#include <stdio.h>
#include <stdlib.h>
int main(void) { char *p = malloc(100); p[0] = 1; free(p); puts("fine"); return 5; }
"""
OWN_MALLOC = str(torture.SOURCES / "own_malloc.c")


def heaptide(*words: object, cwd: Path, preload: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"LD_PRELOAD": preload} if preload else {})}
    command = [sys.executable, "-m", "heaptide", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def built(folder: Path, *flags: str) -> Path:
    """The program, compiled with these flags; skips where the compiler has no such library."""
    (folder / "x.c").write_text(SOURCE)
    done = subprocess.run(["cc", "-g", *flags, "-o", folder / "x", folder / "x.c"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cc {' '.join(flags)}: {done.stderr.strip()[:200]}")
    return folder / "x"


def problems(program: Path, folder: Path) -> list[str]:
    document = json.loads(heaptide("doctor", program, "--json", cwd=folder).stdout)
    return [found["check"] for found in document["checks"] if found["level"] == "problem"]


@pytest.mark.usefixtures("agent", "recorder")
def test_address_sanitizer_is_left_alone(tmp_path: Path) -> None:
    """It must be the first in line, and ends a program where it is not."""
    program = built(tmp_path, "-fsanitize=address")
    run = heaptide("run", "--", program, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (5, "fine\n"), run.stderr
    assert "is built with AddressSanitizer" in run.stderr and "record a build without it" in run.stderr
    assert not list(tmp_path.glob("*.tide"))


@pytest.mark.usefixtures("agent", "recorder")
def test_address_sanitizer_preloaded_is_left_alone(tmp_path: Path) -> None:
    library = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if "/" not in library:
        pytest.skip("the compiler has no libasan.so")
    run = heaptide("run", "--", built(tmp_path), cwd=tmp_path, preload=library)
    assert run.returncode == 5 and run.stdout == "fine\n", run.stderr
    assert "LD_PRELOAD has AddressSanitizer" in run.stderr


@pytest.mark.usefixtures("agent", "recorder")
@pytest.mark.parametrize("flag", ["-fsanitize=thread", "-fsanitize=leak", "-fsanitize=undefined"])
def test_other_sanitizers_come_along(flag: str, tmp_path: Path) -> None:
    program = built(tmp_path, flag)
    if subprocess.run([program], capture_output=True).returncode != 5:
        pytest.skip(f"a program built with {flag} does not run here")
    run = heaptide("run", "--exact", "--", program, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (5, "fine\n"), run.stderr
    assert list(tmp_path.glob("*.tide"))


@pytest.mark.usefixtures("agent", "recorder")
def test_malloc_of_its_own_is_told(tmp_path: Path) -> None:
    program = tmp_path / "own"
    subprocess.run(["cc", "-O2", "-std=gnu17", "-fno-builtin", OWN_MALLOC, "-o", program], check=True)
    run = heaptide("run", "--", program, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (29, "its own\n")
    assert "defines malloc itself, or links an allocator statically" in run.stderr
    assert problems(program, tmp_path) == ["own-malloc"]


@pytest.mark.usefixtures("agent", "recorder")
def test_allocator_linked_statically_is_told(tmp_path: Path) -> None:
    """A library of objects, as libjemalloc.a is one, linked into a program that only calls malloc."""
    (tmp_path / "allocator.c").write_text(Path(OWN_MALLOC).read_text().replace("int main(void)", "int other(void)"))
    include = f"-I{torture.SOURCES}"
    words = ["cc", "-O2", "-std=gnu17", "-fno-builtin", include, "-c", "allocator.c"]
    subprocess.run(words, check=True, cwd=tmp_path)
    subprocess.run(["ar", "rcs", "liballocator.a", "allocator.o"], check=True, cwd=tmp_path)
    program = built(tmp_path, f"-L{tmp_path}", "-Wl,--whole-archive", "-lallocator", "-Wl,--no-whole-archive")
    run = heaptide("run", "--", program, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (5, "fine\n")
    assert "defines malloc itself, or links an allocator statically" in run.stderr
    assert problems(program, tmp_path) == ["own-malloc"]


def test_programs_that_only_refer_to_malloc_are_not_told(tmp_path: Path) -> None:
    checked = [check_program(name) for name in (str(built(tmp_path)), sys.executable, "sh")]
    assert [(program.warning, program.note) for program in checked] == [(None, None)] * 3


def test_a_damaged_file_is_no_reason_to_fail(tmp_path: Path) -> None:
    data = built(tmp_path).read_bytes()
    for cut in (5, 64, 400, 3000, len(data) - 1):
        (tmp_path / "cut").write_bytes(data[:cut])
        (tmp_path / "cut").chmod(0o755)
        assert check_program(str(tmp_path / "cut")).note is None
