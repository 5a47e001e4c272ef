# SPDX-License-Identifier: Apache-2.0
"""However a program ends, and whatever is taken from the recorder: what the capture then says, and no host is hurt.

The program counts for itself, in a file that it shares with us: for each of its threads the allocations and frees begun
and those done. After a death in mid-work the capture must lie between the two: off by at most one operation per thread.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from heaptide.model import Profile
from tests.integration import realworld as rw

THREADS = 4
BLOCK = 48

WORKER = r"""
// worker COUNTS-FILE WAY: four threads allocate and free until the program ends in that WAY.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
enum { THREADS = 4, BLOCK = 48, LIVES = 512 };
struct counts { volatile long alloc_begun, alloc_done, free_begun, free_done; };
static struct counts *all;
#define NOW(field) do { count->field++; __asm__ volatile("" ::: "memory"); } while (0)
#define WORKER(N)                                                                                                    \
    __attribute__((noinline)) static void *worker_##N(void *argument) {                                              \
        struct counts *count = argument;                                                                             \
        void *lives[LIVES] = {NULL};                                                                                 \
        for (unsigned turn = N;; turn = turn * 1664525 + 1013904223) {                                               \
            void **place = &lives[turn >> 23];                                                                       \
            if (*place) {                                                                                            \
                NOW(free_begun);                                                                                     \
                free(*place);                                                                                        \
                NOW(free_done);                                                                                      \
            }                                                                                                        \
            NOW(alloc_begun);                                                                                        \
            *place = malloc(BLOCK);                                                                                  \
            NOW(alloc_done);                                                                                         \
        }                                                                                                            \
        return NULL;                                                                                                 \
    }
WORKER(0) WORKER(1) WORKER(2) WORKER(3)
int main(int argc, char **argv) {
    static void *(*const workers[])(void *) = {worker_0, worker_1, worker_2, worker_3};
    int file = open(argv[argc - 2], O_RDWR);
    all = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    pthread_t thread;
    for (int i = 0; i < THREADS; i++) pthread_create(&thread, NULL, workers[i], &all[i]);
    nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
    if (!strcmp(argv[argc - 1], "_exit")) _exit(7);
    if (!strcmp(argv[argc - 1], "abort")) abort();
    if (!strcmp(argv[argc - 1], "segv")) raise(SIGSEGV);
    for (;;) pause();
}
"""


@dataclass(frozen=True)
class Counts:
    """What one thread said of itself."""

    alloc_begun: int
    alloc_done: int
    free_begun: int
    free_done: int


def _counts(path: Path) -> list[Counts]:
    data = path.read_bytes()
    return [Counts(*struct.unpack_from("4q", data, 32 * thread)) for thread in range(THREADS)]


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rw.compile_c(WORKER, tmp_path_factory.mktemp("worker") / "worker", "-O1")


def _check(profile: Profile, counts: list[Counts]) -> None:
    for number, count in enumerate(counts):
        of_thread = rw.passes_through(f"worker_{number}")
        allocated = rw.sum_where(profile, "alloc_objects", of_thread)
        freed = allocated - rw.sum_where(profile, "inuse_objects", of_thread)
        assert count.alloc_done <= allocated <= count.alloc_begun <= count.alloc_done + 1
        assert count.free_done <= freed <= count.free_begun <= count.free_done + 1
        assert count.alloc_done > 1000, "it was hardly at work"
        half_counted = rw.sum_where(profile, "alloc_space", of_thread) - BLOCK * allocated
        assert half_counted in (0, BLOCK), "a block's bytes are counted, then the block"


@pytest.mark.parametrize("way", ["_exit", "abort", "segv"])
def test_ends_in_mid_work(way: str, worker: Path, tmp_path: Path, recorder: Path, agent: Path) -> None:
    shared_counts = tmp_path / "counts"
    shared_counts.write_bytes(bytes(4096))
    recording = rw.record([str(worker), str(shared_counts), way], tmp_path, recorder, "--exact")
    assert recording.done.returncode == {"_exit": 7, "abort": -signal.SIGABRT, "segv": -signal.SIGSEGV}[way]
    _check(recording.series.at("exit"), _counts(shared_counts))


@pytest.mark.parametrize("delay_ms", [30, 61, 107, 190, 333])
def test_killed_at_any_time(delay_ms: int, worker: Path, tmp_path: Path, recorder: Path, agent: Path) -> None:
    """SIGKILL from outside, five times at moments that nothing is aligned with."""
    shared_counts, output = tmp_path / "counts", tmp_path / "run.tide"
    shared_counts.write_bytes(bytes(4096))
    command = [str(recorder), "--exact", "-o", str(output), "--", str(worker), str(shared_counts), "pause"]
    with subprocess.Popen(command) as program:
        rw.wait_until(lambda: min(count.alloc_done for count in _counts(shared_counts)) > 1000, "work")
        time.sleep(delay_ms / 1000)
        program.kill()
    rw.wait_until(lambda: rw.is_finished(output), f"finished {output}")
    series = rw.Recording(output, rw.execute(["true"])).series
    _check(series.at("exit"), _counts(shared_counts))
    assert series.moment("end").kind == "exit", "no ordinary shutdown was seen"


# ---- The moments -----------------------------------------------------------------------------------------------------

HOLDS = r"""
// Holds 3 MB in main, frees all of it in its ordinary shutdown (a destructor).
#include <stdlib.h>
enum { BLOCKS = 3000 };
static void *held[BLOCKS];
__attribute__((noinline)) static void holds(void) {
    for (int i = 0; i < BLOCKS; i++) held[i] = malloc(1000);
}
__attribute__((destructor)) static void lets_go(void) {
    for (int i = 0; i < BLOCKS; i++) free(held[i]);
}
int main(void) {
    holds();
    return 0;
}
"""


def _heaptide(*words: str) -> subprocess.CompletedProcess[bytes]:
    return rw.execute([sys.executable, "-m", "heaptide", *words])


@pytest.mark.parametrize("options", [("--exact",), ("--sample", "4KiB")], ids=["exact", "sampled"])
def test_everything_freed_at_exit(options: tuple[str, ...], tmp_path: Path, recorder: Path, agent: Path) -> None:
    program = rw.compile_c(HOLDS, tmp_path / "holds", "-O1")
    recording = rw.record([str(program)], tmp_path, recorder, *options)
    shown = _heaptide("top", str(recording.path))
    assert shown.returncode == 0 and b"holds" in shown.stdout and b"(shutdown)" in shown.stdout
    nothing = _heaptide("top", str(recording.path), "--at", "exit")
    assert nothing.returncode == 4 and nothing.stdout == b"" and b"Traceback" not in nothing.stderr
    total = recording.series.at("end").total("inuse_space")
    assert total == pytest.approx(3_000_000, rel=0 if options == ("--exact",) else 0.3)


# ---- The recorder dies -----------------------------------------------------------------------------------------------

GROWS = r"""
// grows MILLISECONDS: keeps 50 kB every 10 ms; at its end says how much it has kept.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
__attribute__((noinline)) static char *keeps(int i, int depth) { // another stack for each i
    char *block = depth ? keeps(i / 2, depth - 1) : malloc(50000);
    if (i % 2) __asm__ volatile("nop" : "+r"(block));
    return block;
}
static char *volatile last;
int main(int argc, char **argv) {
    long kept = 0;
    for (int ms = 0; ms < atoi(argv[argc - 1]); ms += 10, kept += 50000) {
        last = keeps(ms, 12);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    printf("%ld\n", kept);
    return 0;
}
"""


@pytest.fixture(scope="module")
def grows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rw.compile_c(GROWS, tmp_path_factory.mktemp("grows") / "grows", "-O0")


def _recorder_of(output: Path) -> int | None:
    """The process that records into `output`: a heaptide-record with that very path in its command line."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
            executable = os.readlink(entry.parent / "exe")
        except OSError:
            continue
        if str(output).encode() in words and executable.endswith("heaptide-record"):
            return int(entry.parent.name)
    return None


@pytest.fixture
def recording_away(grows: Path, tmp_path: Path, recorder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A program at work, recorded every 100 ms into the path, which has content."""
    output = tmp_path / "run.tide"
    words = [str(recorder), "--exact", "--every", "100ms", "-o", str(output), "--", str(grows), "2500"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        yield program, output
        program.kill()


def test_recorder_killed(agent: Path, recording_away: tuple[subprocess.Popen[bytes], Path]) -> None:
    """At most one interval is lost, the reader says that the file was cut short, and the program does not notice."""
    program, output = recording_away
    rw.wait_until(lambda: output.exists() and output.stat().st_size > 4096, "capture")
    time.sleep(0.6)
    pid = _recorder_of(output)
    assert pid is not None
    kept_by_then = rw.Recording(output, rw.execute(["true"])).series.snapshots[-1].in_use_bytes
    os.kill(pid, signal.SIGKILL)
    stdout, stderr = program.communicate(timeout=rw.PATIENCE_S)
    assert (program.returncode, stdout, stderr) == (0, b"12500000\n", b"")
    series = rw.Recording(output, rw.execute(["true"])).series
    assert not series.complete and not series.live
    assert series.snapshots[-1].in_use_bytes >= kept_by_then >= 25_000 * 100
    gaps = [after.offset_s - before.offset_s for before, after in pairwise(series.snapshots)]
    assert max(gaps) < 0.3, "an interval of 100 ms, on a busy machine"
    shown = _heaptide("top", str(output))
    assert shown.returncode == 3 and b"keeps" in shown.stdout and b"cut short" in shown.stderr


def test_recorder_stopped(agent: Path, recording_away: tuple[subprocess.Popen[bytes], Path]) -> None:
    """Nobody waits for the recorder: the program ends while it stands still, and the books outlive the program."""
    program, output = recording_away
    rw.wait_until(lambda: output.exists() and output.stat().st_size > 4096, "capture")
    pid = _recorder_of(output)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    stdout, stderr = program.communicate(timeout=rw.PATIENCE_S)
    os.kill(pid, signal.SIGCONT)
    assert (program.returncode, stdout, stderr) == (0, b"12500000\n", b"")
    rw.wait_until(lambda: rw.is_finished(output), f"finished {output}")
    profile = rw.Recording(output, rw.execute(["true"])).series.at("end")
    assert rw.sum_where(profile, "inuse_space", rw.passes_through("keeps")) == 12_500_000


# ---- Trouble: the program runs on unharmed ---------------------------------------------------------------------------


def _assert_unharmed(done: subprocess.CompletedProcess[bytes], kept: int) -> None:
    assert done.returncode == 0 and done.stdout == f"{kept}\n".encode()


def test_unwritable_place(grows: Path, tmp_path: Path, recorder: Path, agent: Path) -> None:
    done = rw.execute([str(recorder), "-o", str(tmp_path / "no" / "x.tide"), "--", str(grows), "20"])
    _assert_unharmed(done, 100_000)
    assert b"cannot write to" in done.stderr and b"nothing will be recorded" in done.stderr


def test_no_recorder(grows: Path, tmp_path: Path, agent: Path) -> None:
    """Preloaded alone, with no recorder to start: nobody is there to tell, and nothing is written into the program."""
    env = {"LD_PRELOAD": str(agent), "HEAPTIDE_OUTPUT": str(tmp_path / "x.tide"), "HEAPTIDE_RECORDER": "/nonexistent"}
    done = rw.execute([str(grows), "20"], env=env)
    _assert_unharmed(done, 100_000)
    assert done.stderr == b"" and not list(tmp_path.glob("*.tide"))


def test_no_agent(grows: Path, tmp_path: Path, recorder: Path) -> None:
    missing = tmp_path / "libheaptide.so"
    done = rw.execute([str(recorder), "--agent", str(missing), "-o", str(tmp_path / "x.tide"), "--", str(grows), "20"])
    _assert_unharmed(done, 100_000)
    assert str(missing).encode() in done.stderr


@pytest.mark.parametrize("limit", ["ulimit -f 1", "ulimit -v 20000", "ulimit -v 100000", "ulimit -n 4", "ulimit -l 0"])
@pytest.mark.parametrize("options", [("--exact",), ()], ids=["exact", "sampled"])
def test_resource_limits(
    limit: str, options: tuple[str, ...], grows: Path, tmp_path: Path, recorder: Path, agent: Path
) -> None:
    """Where the books cannot be had there is no recording, where they can it is complete; the program runs on."""
    record = [str(recorder), *options, "-o", str(tmp_path / "x.tide"), "--", str(grows), "20"]
    done = rw.execute(["sh", "-c", f'{limit} && exec "$@"', "sh", *record])
    _assert_unharmed(done, 100_000)
    time.sleep(0.3)
    for capture in tmp_path.glob("*.tide"):
        rw.wait_until(partial(rw.is_finished, capture), f"finished {capture}")
        assert rw.Recording(capture, done).series.snapshots


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and rw.execute(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)])
    if not mounted or mounted.returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield folder
    rw.execute(["umount", "--lazy", str(folder)])


def test_full_disk(small_disk: Path, grows: Path, recorder: Path, agent: Path) -> None:
    """The disk fills up while the program works: it does not notice, and what was written by then can be read."""
    output = small_disk / "run.tide"
    words = [str(recorder), "--exact", "--every", "50ms", "-o", str(output), "--", str(grows), "1800"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        rw.wait_until(lambda: output.exists() and output.stat().st_size > 4096, "capture")
        _fill(small_disk / "filler")
        stdout, stderr = program.communicate(timeout=rw.PATIENCE_S)
    assert (program.returncode, stdout, stderr) == (0, b"9000000\n", b"")
    series = rw.Recording(output, rw.execute(["true"])).series
    assert series.snapshots[-1].in_use_bytes > 1_000_000 and not series.damaged


def test_full_disk_is_reported(small_disk: Path, grows: Path, agent: Path, recorder: Path) -> None:
    """Full from the start: `run` says so at the end, names no file that is not there, and the program is unharmed."""
    _fill(small_disk / "filler")
    done = _heaptide("run", "--exact", "-o", str(small_disk / "run.tide"), "--", str(grows), "20")
    _assert_unharmed(done, 100_000)
    assert b"No space left on device" in done.stderr and b"wrote" not in done.stderr


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


SANDBOX = r"""
// sandbox no-memfd COMMAND...: memfd_create fails with ENOSYS in COMMAND.
// sandbox strict: allocates under a filter that kills at any system call but malloc's own, write and exit.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
static void install(struct sock_filter *code, unsigned short length) {
    struct sock_fprog program = {.len = length, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(99);
}
static struct sock_filter load = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
static void without_memfd(void) {
    struct sock_filter code[] = {load,
                                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_memfd_create, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    install(code, sizeof code / sizeof *code);
}
static void strictly(void) {
    struct sock_filter code[] = {load, ALLOW(mmap), ALLOW(munmap), ALLOW(madvise), ALLOW(brk), ALLOW(mremap),
                                 ALLOW(mprotect), ALLOW(write), ALLOW(exit_group),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
    install(code, sizeof code / sizeof *code);
}
static void *volatile last;
__attribute__((noinline)) static void keeps(unsigned path, int depth, size_t bytes) { // many stacks
    if (depth && path % 2) keeps(path / 2, depth - 1, bytes);
    else if (depth) keeps(path / 2, depth - 1, bytes);
    else last = malloc(bytes);
    __asm__ volatile("");
}
static volatile int locked_in, worked;
static void *works(void *argument) { // its first allocation is under the filter
    while (!locked_in) {}
    for (int i = 0; i < 1000; i++) last = malloc(100);
    worked = 1;
    for (;;) {}
    return argument;
}
int main(int argc, char **argv) {
    pthread_t thread;
    if (argc > 2 && !strcmp(argv[1], "no-memfd")) {
        without_memfd();
        execvp(argv[2], argv + 2);
        return 98;
    }
    last = malloc(1); // glibc's first call asks for random bytes
    if (pthread_create(&thread, NULL, works, NULL)) return 97;
    strictly();
    for (unsigned i = 0; i < 20000; i++) {
        keeps(i, 13, 16 + i % 5000);
        if (i % 3) free(last);
        if (i % 100 == 0) last = realloc(last = NULL, 300000);
    }
    locked_in = 1;
    while (!worked) {}
    return write(1, "unharmed\n", 9) != 9;
}
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rw.compile_c(SANDBOX, tmp_path_factory.mktemp("sandbox") / "sandbox", "-O0")


def test_no_memfd(sandbox: Path, grows: Path, tmp_path: Path, recorder: Path, agent: Path) -> None:
    words = [str(recorder), "--exact", "-o", str(tmp_path / "x.tide"), "--", str(grows), "20"]
    _assert_unharmed(rw.execute([str(sandbox), "no-memfd", *words]), 100_000)


@pytest.mark.parametrize("options", [("--exact",), ("--sample", "16KiB"), ()], ids=["exact", "sampled", "adaptive"])
def test_under_a_kill_filter(
    options: tuple[str, ...], sandbox: Path, tmp_path: Path, recorder: Path, agent: Path
) -> None:
    """After its constructor the agent makes no system call that an allocator does not make as well."""
    recording = rw.record([str(sandbox), "strict"], tmp_path, recorder, *options)
    assert (recording.done.returncode, recording.done.stdout) == (0, b"unharmed\n")
    profile = recording.series.at("exit")
    truth = sum(16 + i % 5000 for i in range(20000)) + 200 * 300_000 + 1000 * 100 + 1
    of_libc = 1000  # at most: pthread_create's own
    assert abs(profile.total("alloc_space") - truth) <= 2 * profile.error("alloc_space") + of_libc
