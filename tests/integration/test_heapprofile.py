# SPDX-License-Identifier: Apache-2.0
"""HEAPPROFILE: when dumps are written, how they are called, and that every pprof reads the same totals from them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import against_tcmalloc as versus
from tests.integration import realworld as rw

STEPS = r"""
// Does what the words of its command line say.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static void *kept[1000];
static int count;
static void told(int child) {
    if (child > 0) waitpid(child, NULL, 0);
    dprintf(1, "%d", child);
}
__attribute__((noinline)) static void keeps(size_t bytes) {
    kept[count++] = malloc(bytes);
    __asm__ volatile("" ::: "memory");
}
static void execute_rest(char **word) {
    char *argv[20] = {"steps"};
    for (int n = 1; *word; word++) argv[n++] = *word;
    execv("/proc/self/exe", argv);
}
static void steps(char **word) {
    for (int child; *word; word++) {
        int value = atoi(*word + 1);
        switch (**word) {
        case '+': keeps(value); break;               // +N: allocate N bytes
        case '-': free(kept[--count]); break;        // free the last
        case 's': raise(value); break;               // sN: signal N
        case 'w': nanosleep(&(struct timespec){.tv_sec = value}, NULL); break;
        case 'q': _exit(0);
        case 'f':                                    // a fork child does the rest
            if ((child = fork()) == 0) { steps(word + 1); exit(0); }
            told(child);
            return;
        case 'x':                                    // an executed child does the rest
            if ((child = fork()) == 0) execute_rest(word + 1);
            told(child);
            return;
        case 'e': execute_rest(word + 1);            // this process, executed anew, does the rest
        }
    }
}
int main(int argc, char **argv) { (void)argc; steps(argv + 1); return 0; }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rw.compile_c(STEPS, tmp_path_factory.mktemp("steps") / "steps", "-O1")


class Dumps:
    """Runs the program of steps under HEAPPROFILE; `run` returns each dump's in-use bytes by its name."""

    def __init__(self, program: Path, agent: Path, folder: Path) -> None:
        self.program, self.agent, self.folder = program, agent, folder
        self.stdout, self.stderr, self.status = b"", b"", 0

    def run(self, *steps: str, **variables: str) -> dict[str, int]:
        env = {"LD_PRELOAD": str(self.agent), "HEAPPROFILE": str(self.folder / "p"), **variables}
        done = rw.execute([str(self.program), *steps], env=env)
        self.stdout, self.stderr, self.status = done.stdout, done.stderr, done.returncode
        return {path.name: rw.heap_totals(path).inuse_space for path in sorted(self.folder.glob("*.heap"))}


@pytest.fixture
def dumps(program: Path, agent: Path, tmp_path: Path) -> Dumps:
    folder = tmp_path / "dumps"
    folder.mkdir()
    return Dumps(program, agent, folder)


def _numbered(*in_use: int) -> dict[str, int]:
    return {f"p.{number:04}.heap": bytes_ for number, bytes_ in enumerate(in_use, 1)}


# ---- When ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "steps", "in_use"),
    [
        ("ALLOCATION_INTERVAL", "+600 +600 +600 +100 +5000", [1200, 6900]),
        ("ALLOCATION_INTERVAL", "+400 - +400 - +400", [400]),
        ("DEALLOCATION_INTERVAL", "+600 +600 - - +600 - +600 -", [0, 0]),
        ("INUSE_INTERVAL", "+600 +600 - - +1100 +100 +1200", [1200, 2400]),
        ("INUSE_INTERVAL", "+600 +400 - - +1000 -", []),
        ("ALLOCATION_INTERVAL", "", []),
    ],
)
def test_rule(dumps: Dumps, rule: str, steps: str, in_use: list[int]) -> None:
    """Each rule at 1,000 bytes; the last dump is the exit's. In use must exceed its mark, the others reach theirs."""
    found = dumps.run(*steps.split(), **{f"HEAP_PROFILE_{rule}": "1000"})
    at_exit = sum(int(word[1:]) for word in steps.split() if word[0] == "+") - _freed(steps)
    assert found == _numbered(*in_use, at_exit)
    assert (dumps.status, dumps.stdout, dumps.stderr) == (0, b"", b"")


def _freed(steps: str) -> int:
    """Bytes that `-` words free: each the block allocated last of those still kept."""
    kept: list[int] = []
    freed = 0
    for word in steps.split():
        if word[0] == "+":
            kept.append(int(word[1:]))
        else:
            freed += kept.pop()
    return freed


def test_defaults(dumps: Dumps) -> None:
    """100 MiB more in use than ever at a dump, or 1 GiB allocated."""
    mib = 1 << 20
    assert dumps.run(f"+{100 * mib}", "+1", f"+{99 * mib}", "+9") == _numbered(100 * mib + 1, 199 * mib + 10)
    by_allocation = dumps.run(*[f"+{90 * mib}", "-"] * 12)
    assert by_allocation == _numbered(90 * mib, 0)


def test_time(dumps: Dumps) -> None:
    """Seconds since the start (gperftools: since 1970, so that its first allocation always dumped)."""
    found = dumps.run("+1", "+2", "w1", "+4", "+8", HEAP_PROFILE_TIME_INTERVAL="1")
    assert found == _numbered(7, 15)


@pytest.mark.parametrize("value", ["abc", "-5", "99999999999999999999", ""])
def test_values_that_are_no_number(dumps: Dumps, value: str) -> None:
    """gperftools reads them as it can; the program must run, and the exit's dump be there."""
    found = dumps.run("+100", HEAP_PROFILE_INUSE_INTERVAL=value)
    assert found and set(found.values()) == {100}
    assert dumps.status == 0


def test_signal(dumps: Dumps) -> None:
    assert dumps.run("+100", "s12", "+50", "s12", "s12", HEAPPROFILESIGNAL="12") == _numbered(100, 150, 150, 150)


@pytest.mark.parametrize("value", ["9", "19", "0", "-1", "65", "999", "abc", "12x"])
def test_signal_that_is_none(dumps: Dumps, value: str) -> None:
    """Reported in one line, and not fatal (gperftools aborts the program)."""
    assert dumps.run("+100", HEAPPROFILESIGNAL=value) == _numbered(100)
    assert dumps.status == 0
    assert dumps.stderr.startswith(b"heaptide: HEAPPROFILESIGNAL") and dumps.stderr.count(b"\n") == 1


def test_no_dump_without_an_exit(dumps: Dumps) -> None:
    assert dumps.run("+100", "q") == {}
    assert dumps.run("+100", f"s{int(signal.SIGKILL)}") == {}
    assert dumps.status == -signal.SIGKILL


def test_minus_100_gib(agent: Path, tmp_path: Path) -> None:
    """The old note's interval is over 32 bits: nothing of it may be cut off. The dumps come by the in-use rule."""
    source = "#include <stdlib.h>\nint main(void) { for (int i = 0; i < 70; i++) if (!malloc(3 << 20)) return 1; }\n"
    program = rw.compile_c(source, tmp_path / "grows", "-O0")
    env = {"LD_PRELOAD": str(agent), "HEAPPROFILE": str(tmp_path / "profile")}
    assert rw.execute([str(program)], env={**env, "HEAP_PROFILE_ALLOCATION_INTERVAL": "107374182400"}).returncode == 0
    in_use = [rw.heap_totals(path).inuse_space / (3 << 20) for path in sorted(tmp_path.glob("profile.*.heap"))]
    assert in_use == [34, 68, 70]


# ---- What the files are called, and who may read them ----------------------------------------------------------------


def test_private_files_that_follow_no_link(dumps: Dumps, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("not mine")
    (dumps.folder / "p.0001.heap").symlink_to(victim)
    assert dumps.run("+100", HEAP_PROFILE_CLEANUP="false") == _numbered(100)
    written = dumps.folder / "p.0001.heap"
    assert victim.read_text() == "not mine" and not written.is_symlink()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


@pytest.mark.parametrize(("value", "stays"), [(None, False), ("true", False), ("", False), ("0", True), ("f", True)])
def test_cleanup(dumps: Dumps, value: str | None, stays: bool) -> None:
    """Dumps of an earlier run with this prefix go, those of another prefix stay."""
    header = "heap profile: 0: 7 [ 0: 7] @ heapprofile\n"
    for name in ("p.0009.heap", "pq.0001.heap", "p.0009.heap.txt"):
        (dumps.folder / name).write_text(header)
    found = dumps.run("+100", **({} if value is None else {"HEAP_PROFILE_CLEANUP": value}))
    assert found == {"p.0001.heap": 100, "pq.0001.heap": 7, **({"p.0009.heap": 7} if stays else {})}
    assert (dumps.folder / "p.0009.heap.txt").exists()


def test_use_pid(dumps: Dumps) -> None:
    (name,) = dumps.run("+100", HEAPPROFILE_USE_PID="1")
    assert re.fullmatch(r"p_\d+\.0001\.heap", name)


def test_fork(dumps: Dumps) -> None:
    """A child has files of its own, which begin at zero: a free of what the parent allocated counts nowhere."""
    found = dumps.run("+1000", "f", "+50", "-", "-", "+20")
    assert found == {"p.0001.heap": 1000, f"p_{dumps.stdout.decode()}.0001.heap": 20}


def test_exec(dumps: Dumps) -> None:
    """An executed child does not write over our files; a process that is executed anew keeps its name."""
    found = dumps.run("+1000", "x", "+50")
    assert found == {"p.0001.heap": 1000, f"p_{dumps.stdout.decode()}.0001.heap": 50}
    for path in dumps.folder.iterdir():
        path.unlink()
    assert dumps.run("+1000", "e", "+50") == _numbered(50)


def test_the_variables_are_left_alone(agent: Path, tmp_path: Path) -> None:
    """No user's variable is changed (gperftools set a bit in HEAPPROFILE's first byte, which broke programs)."""
    env = {"LD_PRELOAD": str(agent), "HEAPPROFILE": str(tmp_path / "p")}
    done = rw.execute(["env"], env=env)
    assert set(done.stdout.splitlines()) >= {f"{name}={value}".encode() for name, value in env.items()}


MAPS = r"""
#include <sys/mman.h>
#include <stdlib.h>
static void *volatile kept;
__attribute__((noinline)) static void map(void) {
    kept = mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(kept, 1 << 18);
}
int main(void) { map(); kept = malloc(1000); return 0; }
"""


@pytest.mark.parametrize(
    ("variable", "header", "records"),
    [
        (None, 1000, {1000}),
        ("HEAP_PROFILE_MMAP", 1000, {1000, 3 << 18}),
        ("HEAP_PROFILE_ONLY_MMAP", 0, {3 << 18}),
    ],
)
def test_mappings(agent: Path, tmp_path: Path, variable: str | None, header: int, records: set[int]) -> None:
    """As gperftools up to 2.16: in records of their own, and not in the header's totals."""
    program = rw.compile_c(MAPS, tmp_path / "maps", "-O1")
    env = {"LD_PRELOAD": str(agent), "HEAPPROFILE": str(tmp_path / "p"), **({variable: "1"} if variable else {})}
    rw.execute([str(program)], env=env)
    dump = tmp_path / "p.0001.heap"
    assert rw.heap_totals(dump).inuse_space == header
    in_use = [int(line.split()[1]) for line in dump.read_text().splitlines()[1:] if " @ 0x" in line]
    assert set(in_use) == records


def test_nowhere_to_write(dumps: Dumps) -> None:
    assert dumps.run("+100", HEAPPROFILE=str(dumps.folder / "no" / "p")) == {}
    assert dumps.status == 0 and b"cannot create" in dumps.stderr


def test_beside_a_recording(dumps: Dumps) -> None:
    """With both families of variables set both run, on one count."""
    output = dumps.folder / "both.tide"
    assert dumps.run("+100", "+200", "-", HEAPTIDE_OUTPUT=str(output)) == _numbered(100)
    rw.wait_until(lambda: rw.is_finished(output), f"finished {output}")
    profile = rw.Recording(output, rw.execute(["true"])).series.at("exit")
    assert rw.profile_totals(profile) == rw.heap_totals(dumps.folder / "p.0001.heap") == rw.Totals(1, 100, 2, 300)


# ---- The functions ---------------------------------------------------------------------------------------------------

FUNCTIONS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
void HeapProfilerStart(const char *);
void HeapProfilerStop(void);
void HeapProfilerDump(const char *);
char *GetHeapProfile(void);
int IsHeapProfilerRunning(void);
__attribute__((noinline)) static void *keeps(size_t bytes) {
    void *block = malloc(bytes);
    __asm__ volatile("" : : "r"(block) : "memory");
    return block;
}
static void told(void) {
    char *text = GetHeapProfile();
    int lines = 0;
    for (char *c = text; *c; c++) lines += *c == '\n';
    text[strcspn(text, "\n")] = 0;
    char said[200]; // (dprintf would allocate)
    int bytes = snprintf(said, sizeof said, "%d %s%s\n", IsHeapProfilerRunning(), text, lines > 5 ? " and more" : "");
    if (write(1, said, bytes) != bytes) abort();
    free(text);
}
int main(int argc, char **argv) {
    void *early = keeps(5000);
    told();
    HeapProfilerDump("off: nothing is written");
    HeapProfilerStart(argv[argc - 1]);
    void *block = keeps(100);
    HeapProfilerStart("/nonexistent/ignored, for it is on");
    HeapProfilerDump("first");
    keeps(200);
    free(block);
    free(early);
    told();
    HeapProfilerDump("second");
    HeapProfilerStop();
    told();
    keeps(400);
    HeapProfilerStart(argv[argc - 1]);
    keeps(7);
    HeapProfilerDump("third: numbers go on, counts begin anew");
    HeapProfilerStop();
    return 0;
}
"""


def test_functions(agent: Path, tmp_path: Path) -> None:
    """A program linked with -lheaptide: the contracts of gperftools/heap-profiler.h."""
    folder = agent.parent
    flags = ("-O1", f"-L{folder}", f"-Wl,-rpath,{folder}", "-lheaptide")
    program = rw.compile_c(FUNCTIONS, tmp_path / "functions", *flags)
    done = rw.execute([str(program), str(tmp_path / "p")])
    assert done.returncode == 0 and done.stderr == b""
    off, on, stopped = done.stdout.decode().splitlines()
    assert off == stopped == "0 "
    assert re.fullmatch(r"1 heap profile: +1: +200 \[ +2: +300\] @ heapprofile and more", on)
    found = {path.name: rw.heap_totals(path) for path in tmp_path.glob("*.heap")}
    assert found == {
        "p.0001.heap": rw.Totals(1, 100, 1, 100),
        "p.0002.heap": rw.Totals(1, 200, 2, 300),
        "p.0003.heap": rw.Totals(1, 7, 1, 7),
    }


def test_linked_and_nothing_set(agent: Path, tmp_path: Path, program: Path) -> None:
    """Without a variable the library only forwards: no file, no word, no descriptor."""
    done = rw.execute([str(program), "+100"], env={"LD_PRELOAD": str(agent)}, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr, list(tmp_path.glob("*.heap"))) == (0, b"", b"", [])


# ---- Every reader, the same totals -----------------------------------------------------------------------------------


def _go_total(program: str, heap: Path, value: str) -> int:
    words = ["go", "tool", "pprof", "-top", "-unit=B", f"-sample_index={value}", program, str(heap)]
    done = rw.execute(words, env={"HOME": str(heap.parent), "PPROF_TMPDIR": str(heap.parent)})
    match = re.search(rb" of (\d+)B total", done.stdout)
    assert match, done.stderr.decode()
    return int(match[1])


def _perl_total(program: str, heap: Path, value: str) -> int:
    done = rw.execute(["google-pprof", "--text", "--show_bytes", f"--{value}", program, str(heap)])
    match = re.search(rb"Total: (\d+) B", done.stdout + done.stderr)
    assert match, done.stderr.decode()
    return int(match[1])


def _our_total(program: str, heap: Path, value: str) -> int:
    words = [sys.executable, "-m", "heaptide", "pprof", "--text", "--show_bytes", f"--{value}", program, str(heap)]
    done = rw.execute(words)
    match = re.search(rb" of (\d+)B total", done.stdout)
    assert match, done.stderr.decode()
    return int(match[1])


@pytest.mark.parametrize("whose", ["ours", "tcmalloc's"])
def test_every_pprof_reads_the_same(whose: str, agent: Path, tmp_path: Path, need: Callable[..., None]) -> None:
    need("go", "google-pprof", "xmllint")
    if not versus.TCMALLOC.exists():
        pytest.skip(f"no {versus.TCMALLOC}")
    workload = versus.xmllint(tmp_path, 1)
    library = agent if whose == "ours" else versus.TCMALLOC
    heap = versus.dumps(workload, library, tmp_path / "p", 500_000)[0]
    program = shutil.which("xmllint") or ""
    totals = rw.heap_record_sum(heap)
    assert totals == rw.heap_totals(heap)
    for value in ("inuse_space", "alloc_space"):
        for total in (_go_total, _perl_total, _our_total):
            assert total(program, heap, value) == getattr(totals, value), (total.__name__, value)


MAGIC = {
    "ps": b"%!PS-Adobe",
    "pdf": b"%PDF-1.",
    "gif": b"GIF89a",
    "png": b"\x89PNG\r\n\x1a\n",
    "svg": b"<?xml",
    "dot": b"digraph",
    "text": b"File: grows",
}

GROWS = r"""
#include <stdlib.h>
#include <unistd.h>
__attribute__((noinline)) static char *keeps_early(void) { return malloc(4 << 20); }
__attribute__((noinline)) static char *keeps_late(void) { return malloc(4 << 20); }
static char *volatile last;
int main(void) {
    for (int i = 0; i < 26; i++) last = keeps_early(); // the first dump comes here: over 100 MiB
    for (int i = 0; i < 34; i++) last = keeps_late();
    return 0;
}
"""


def _old_note(program: Path, agent_path: str, folder: Path) -> list[str]:
    """The old note's command lines; only the program's and the library's names are others."""
    run = (
        f"LD_PRELOAD={agent_path} HEAPPROFILE={folder}/profile HEAP_PROFILE_ALLOCATION_INTERVAL=107374182400 {program}"
    )
    pprof = f"{sys.executable} -m heaptide pprof"
    pictures = [f"{pprof} --{kind} --lines {program} {folder}/profile.0001.heap > {folder}/a.{kind}" for kind in MAGIC]
    compared = f"--base {folder}/profile.0001.heap {program} {folder}/profile.0003.heap"
    differences = [f"{pprof} --{kind} --lines {compared} > {folder}/b.{kind}" for kind in MAGIC]
    return [run, *pictures, *differences]


def test_the_old_note(agent: Path, tmp_path: Path, need: Callable[..., None]) -> None:
    need("gs", "pdftotext")
    program = rw.compile_c(GROWS, tmp_path / "grows", "-O1")
    agent_path = rw.execute([sys.executable, "-m", "heaptide", "agent"]).stdout.decode().strip()
    assert os.path.samefile(agent_path, agent)
    for line in _old_note(program, agent_path, tmp_path):
        done = rw.execute(["sh", "-c", line])
        assert done.returncode == 0, (line, done.stderr)
    for which, shown, hidden in (("a", b"keeps_early", b"keeps_late"), ("b", b"keeps_late", b"keeps_early")):
        for kind, magic in MAGIC.items():
            assert (tmp_path / f"{which}.{kind}").read_bytes().startswith(magic), kind
        for kind in ("dot", "svg", "text"):
            text = (tmp_path / f"{which}.{kind}").read_bytes()
            assert shown in text and b"grows.c" in text
        assert hidden not in (tmp_path / f"{which}.dot").read_bytes()
        _check_pages(tmp_path, which, shown)


def _check_pages(folder: Path, which: str, shown: bytes) -> None:
    """Ghostscript draws the page, and the pdf's text names the function."""
    done = rw.execute(["gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=nullpage", str(folder / f"{which}.ps")])
    assert done.returncode == 0, done.stdout
    assert shown in rw.execute(["pdftotext", str(folder / f"{which}.pdf"), "-"]).stdout
