# SPDX-License-Identifier: Apache-2.0
"""`run` and the verbs that read, from one end to the other, with the real agent and recorder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *kept[1000];
__attribute__((noinline)) void *keep(int n) {
  void *p = malloc(n); /* the site */
  __asm__ volatile("" : : "r"(p) : "memory");
  return p;
}
static void release(void) {
  for (int i = 0; i < 1000; i++) free(kept[i]);
}
int main(int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "late")) usleep(700000);
  for (int i = 0; i < 1000; i++) kept[i] = keep(10000);
  printf("said\n");
  fflush(stdout);
  if (argc > 1 && !strcmp(argv[1], "free")) atexit(release);
  if (argc > 1 && !strcmp(argv[1], "kill")) raise(SIGKILL);
  if (argc > 1 && !strcmp(argv[1], "crash")) raise(SIGSEGV);
  if (argc > 1 && !strcmp(argv[1], "fork")) execlp("sh", "sh", "-c", "sleep 0.3", (char *)0);
  return argc > 1 ? atoi(argv[1]) : 0;
}
"""
SITE_LINE = next(number for number, line in enumerate(PROGRAM.splitlines(), 1) if "the site" in line)
KEPT = 10_000_000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, agent: Path, recorder: Path) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "keeper.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-g", "-o", str(folder / "keeper"), str(folder / "keeper.c")], check=True)
    return folder / "keeper"


def heaptide(cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heaptide", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


def recorded(cwd: Path, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return heaptide(cwd, "run", "--exact", "--", program, *arguments)


def test_the_last_words_are_true(tmp_path: Path, program: Path) -> None:
    run = recorded(tmp_path, program)
    (capture,) = tmp_path.glob("keeper.*.tide")
    assert (run.returncode, run.stdout) == (0, "said\n")
    lines = run.stderr.splitlines()
    assert all(line.startswith("heaptide: ") for line in lines)
    assert re.search(rf"wrote {re.escape(capture.name)} \(.*, exact\)", lines[0])
    assert "held at the end: 9.54 MiB in 1,00" in lines[1] and f"at keep (keeper.c:{SITE_LINE})" in lines[1]
    assert re.search(r"it cost .* of CPU in the recorder, .* of memory in the program; nothing was lost", lines[2])
    assert lines[3] == f"heaptide: see: heaptide top {capture.name}"


@pytest.mark.parametrize(
    ("argument", "status", "cause"), [("7", 7, ""), ("kill", 137, ""), ("crash", 139, ""), ("255", 255, "")]
)
def test_the_status_is_the_programs(tmp_path: Path, program: Path, argument: str, status: int, cause: str) -> None:
    run = recorded(tmp_path, program, argument)
    assert (run.returncode, run.stdout) == (status, "said\n")
    assert "held at the end: 9.54 MiB" in run.stderr


def test_it_leaves_within_two_seconds_of_the_programs_end(tmp_path: Path, program: Path) -> None:
    started = time.monotonic()
    recorded(tmp_path, program)
    assert time.monotonic() - started < 4, "Python's start, a program of some milliseconds, and at most two seconds"


def test_moments_of_a_program_that_frees_everything_at_its_exit(tmp_path: Path, program: Path) -> None:
    recorded(tmp_path, program, "free")
    (capture,) = tmp_path.glob("*.tide")

    def kept(*arguments: str) -> list[int]:
        rows = json.loads(heaptide(tmp_path, "top", capture, "--json", *arguments).stdout)["rows"]
        return [row["flat"] for row in rows if row["function"] == "keep"]

    assert kept() == kept("--at", "end") == kept("--at", "peak") == [KEPT]
    assert kept("--at", "exit") == []
    assert kept("--at", "exit", "--value", "alloc_space") == [KEPT]
    assert kept("--at", "exit", "--base", "end") == [-KEPT]


def test_nothing_in_use_at_the_exit_says_why(tmp_path: Path, program: Path) -> None:
    heaptide(tmp_path, "run", "--sample", "1KiB", "--", program, "free")
    run = heaptide(tmp_path, "traces", "--at", "exit")
    assert (run.returncode, run.stdout) == (4, "") or " keep " not in run.stdout


def test_top_by_line_is_exact(tmp_path: Path, program: Path) -> None:
    recorded(tmp_path, program)
    document = json.loads(heaptide(tmp_path, "top", "--json", "--by", "line").stdout)
    first = document["rows"][0]
    assert (first["function"], Path(first["file"]).name, first["line"]) == ("keep", "keeper.c", SITE_LINE)
    assert (first["flat"], document["error"]) == (KEPT, 0)
    assert Path(first["module"]).name == "keeper"


def test_a_sampled_run_states_its_error_and_keeps_to_it(tmp_path: Path, program: Path) -> None:
    heaptide(tmp_path, "run", "--sample", "32KiB", "--", program)
    document = json.loads(heaptide(tmp_path, "top", "--json").stdout)
    first = document["rows"][0]
    assert first["function"] == "keep" and 0 < document["error"] < KEPT
    assert abs(first["flat"] - KEPT) < 2 * first["flat_error"]
    assert " +/- " in heaptide(tmp_path, "top").stdout.splitlines()[2]


def test_growth_between_two_moments(tmp_path: Path, program: Path) -> None:
    recorded(tmp_path, program, "late")
    document = json.loads(heaptide(tmp_path, "top", "--json", "--base", "start").stdout)
    assert (document["rows"][0]["function"], document["rows"][0]["flat"]) == ("keep", KEPT)


def test_two_captures_can_be_compared(tmp_path: Path, program: Path) -> None:
    recorded(tmp_path, program)
    (first,) = tmp_path.glob("*.tide")
    recorded(tmp_path, program)
    run = heaptide(tmp_path, "top", "--base", first, "--json")
    document = json.loads(run.stdout)
    assert "keep" not in {row["function"] for row in document["rows"]}, "the same amount at the same line"


@pytest.mark.parametrize("form", ["svg", "dot"])
def test_a_graph_of_a_capture(tmp_path: Path, program: Path, form: str) -> None:
    pytest.importorskip("pygraphviz")
    recorded(tmp_path, program)
    run = heaptide(tmp_path, "graph", "-o", f"x.{form}")
    assert run.returncode == 0 and "keep" in (tmp_path / f"x.{form}").read_text()


def test_pprof_reads_captures(tmp_path: Path, program: Path) -> None:
    recorded(tmp_path, program)
    (capture,) = tmp_path.glob("*.tide")
    run = heaptide(tmp_path, "pprof", "--text", "--show_bytes", program, capture)
    assert re.search(rf"^ *{KEPT}B .* keep$", run.stdout, re.MULTILINE)


def test_a_cut_capture_is_shown_as_far_as_it_goes(tmp_path: Path, program: Path) -> None:
    recorded(tmp_path, program)
    (capture,) = tmp_path.glob("*.tide")
    data = capture.read_bytes()
    capture.write_bytes(data[: len(data) - 300])
    run = heaptide(tmp_path, "top", capture)
    assert run.returncode == 3 and "keep" in run.stdout
    assert "heaptide: warning: " in run.stderr and "Traceback" not in run.stderr
    document = json.loads(heaptide(tmp_path, "top", capture, "--json").stdout)
    assert document["rows"]
    capture.write_bytes(data[:10])
    run = heaptide(tmp_path, "top", capture)
    assert (run.returncode, run.stdout) == (3, "") and "at byte" in run.stderr


def test_an_unwritable_place_is_said_and_the_program_runs(tmp_path: Path, program: Path) -> None:
    run = heaptide(tmp_path, "run", "-o", "/nonexistent/x.tide", "--", program, "3")
    assert (run.returncode, run.stdout) == (3, "said\n") and "/nonexistent" in run.stderr


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_without_a_stderr_stdout_and_status_are_still_the_programs(tmp_path: Path, program: Path, stderr: str) -> None:
    line = f"{sys.executable} -m heaptide run -o x.tide -- {program} 7 {stderr}"
    run = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (7, "said\n", "")
    assert (tmp_path / "x.tide").exists()
    mistake = f"{sys.executable} -m heaptide run -- ./none {stderr}"
    run = subprocess.run(["sh", "-c", mistake], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (127, "", "")


def test_a_script_whose_interpreter_is_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    run = heaptide(tmp_path, "run", "--", "./script")
    assert run.returncode == 127 and "its first line names /no/such/interpreter, which is not there" in run.stderr


def test_what_switched_recording_off_is_said(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAPTIDE_OFF", "1")
    run = heaptide(tmp_path, "run", "--", program)
    assert run.stdout == "said\n" and "nothing was recorded: HEAPTIDE_OFF is set" in run.stderr


def test_a_capture_of_that_name_is_kept_and_said(tmp_path: Path, program: Path) -> None:
    (tmp_path / "x.tide").write_text("mine")
    run = heaptide(tmp_path, "run", "-o", "x.tide", "--", program)
    assert "x.tide is there already and is kept" in run.stderr and (tmp_path / "x.tide").read_text() == "mine"
    assert len(list(tmp_path.glob("x.*.tide"))) == 1


def test_setuid_and_static_programs_are_said_before_they_start(tmp_path: Path, program: Path) -> None:
    (tmp_path / "s.c").write_text('#include <stdio.h>\nint main(void) { puts("static"); return 5; }\n')
    subprocess.run(["cc", "-static", "-o", str(tmp_path / "s"), str(tmp_path / "s.c")], check=True)
    run = heaptide(tmp_path, "run", "--", "./s")
    assert (run.returncode, run.stdout) == (5, "static\n") and "statically linked" in run.stderr


def test_doctor_on_programs(tmp_path: Path, program: Path) -> None:
    (tmp_path / "s.c").write_text("int main(void) { return 0; }\nvoid *malloc(unsigned long n) { return (void *)n; }\n")
    subprocess.run(
        ["cc", "-rdynamic", "-fno-builtin", "-w", "-o", str(tmp_path / "own"), str(tmp_path / "s.c")], check=True
    )
    (tmp_path / "e.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-static", "-o", str(tmp_path / "static"), str(tmp_path / "e.c")], check=True)
    (tmp_path / "script").write_text("#!/usr/bin/env sh\ntrue\n")
    (tmp_path / "script").chmod(0o755)
    expected = {"own": "own-malloc", "static": "static", "nowhere": "program"}
    for name, check in expected.items():
        document = json.loads(heaptide(tmp_path, "doctor", tmp_path / name, "--json").stdout)
        problems = [found["check"] for found in document["checks"] if found["level"] == "problem"]
        assert problems == [check] and document["worst"] == "problem"
    assert "is a script" in heaptide(tmp_path, "doctor", "./script").stdout
    run = heaptide(tmp_path, "doctor", program)
    assert run.returncode == 0 and f"ok      {program}: functions, lines and inlined calls" in run.stdout


def test_doctor_on_processes(tmp_path: Path) -> None:
    run = heaptide(tmp_path, "doctor", os.getpid())
    assert "runs without the agent" in run.stdout
    assert "there is no process 999999999" in heaptide(tmp_path, "doctor", 999999999).stdout


def test_doctor_sees_the_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAPTIDE_OFF", "1")
    assert "HEAPTIDE_OFF is set" in heaptide(tmp_path, "doctor").stdout


def test_agent_prints_a_library_that_exists(tmp_path: Path, agent: Path) -> None:
    assert Path(heaptide(tmp_path, "agent").stdout.strip()).name == "libheaptide.so"
