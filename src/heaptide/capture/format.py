# SPDX-License-Identifier: Apache-2.0
"""Mirror of native/format.h, which is the law: a contract test compiles that and compares `STRUCTS` with it.

Little-endian and naturally aligned without holes, so each layout is the plain sequence of its fields.
"""

import struct
from typing import Any, Final, Literal

MAGIC: Final = b"HEAPTIDE"
VERSION: Final = 2
"""The newest; every older one is read as well."""
MARK: Final = b"TIDE"
MAX_RECORD: Final = 256 << 20
MAX_DEPTH: Final = 1024
"""HT_MAX_DEPTH of books.h: a stack with more frames is damage."""
FIRST_STACK_ID: Final = 16
"""HT_FIRST_STACK_ID of books.h: ids below it are reasons, not stacks."""

REC_PROCESS: Final = 1
REC_MODULE: Final = 2
REC_UNLOAD: Final = 3
REC_STACKS: Final = 4
REC_SNAPSHOT: Final = 5
REC_MEMORY: Final = 6
REC_AGENT: Final = 7
REC_NOTE: Final = 8
REC_END: Final = 9
REC_PACKED: Final = 10
REC_AGES: Final = 11
RECORD_NAMES: Final = (
    *("", "PROCESS", "MODULE", "UNLOAD", "STACKS", "SNAPSHOT", "MEMORY", "AGENT", "NOTE", "END", "PACKED", "AGES"),
)

MODE_SAMPLED: Final = 1
MODE_EXACT: Final = 2

MODULE_MAIN: Final = 1
MODULE_AGENT: Final = 2
MODULE_VDSO: Final = 4
MODULE_ALLOCATOR: Final = 8

STACK_TRUNCATED: Final = 1
STACK_GUESSED: Final = 2
STACK_NO_CFI: Final = 4
STACK_SIGNAL: Final = 8
STACK_MMAP: Final = 16

SnapshotKind = Literal["start", "time", "growth", "signal", "shutdown", "exit"]
SNAPSHOT_KINDS: Final[dict[int, SnapshotKind]] = {
    1: "start",
    2: "time",
    3: "growth",
    4: "signal",
    5: "shutdown",
    6: "exit",
}
SNAPSHOT_LATE: Final = 1
SNAPSHOT_KILLED: Final = 2
SNAPSHOT_GAP: Final = 4
SNAPSHOT_PARTIAL: Final = 8

END_UNKNOWN: Final = 0
END_EXITED: Final = 1
END_KILLED: Final = 2
END_EXEC: Final = 3
END_RECORDER: Final = 4
END_BOOKS: Final = 5

EXACT_COLUMNS: Final = ("alloc_bytes", "alloc_objects", "free_bytes", "free_objects")
SAMPLED_COLUMNS: Final = (*EXACT_COLUMNS, "alloc_variance", "free_variance", "alloc_samples", "free_samples")
FLOAT_COLUMNS: Final = frozenset({"alloc_variance", "free_variance"})
OBJECT_SCALE: Final = 65536
"""Sampled mode counts objects in units of 1/65536."""

FIGURES: Final = {
    101: "statm_size",
    102: "statm_resident",
    103: "statm_shared",
    106: "statm_data",
    201: "vm_hwm",
    202: "vm_rss",
    203: "rss_anon",
    204: "rss_file",
    205: "rss_shmem",
    206: "vm_data",
    207: "vm_stk",
    208: "vm_exe",
    209: "vm_lib",
    210: "vm_pte",
    211: "vm_swap",
    212: "threads",
    301: "cgroup_current",
    302: "cgroup_max",
    303: "cgroup_oom_kill",
    401: "rollup_rss",
    402: "rollup_pss",
    403: "rollup_shared_clean",
    404: "rollup_shared_dirty",
    405: "rollup_private_clean",
    406: "rollup_private_dirty",
    407: "rollup_anonymous",
    408: "rollup_anon_huge",
    409: "rollup_swap",
    410: "rollup_locked",
    499: "rollup_read_ns",
    501: "part_heap",
    502: "part_mapped",
    503: "part_stacks",
    504: "part_code",
    505: "part_files",
    506: "part_shared",
    507: "part_agent",
    508: "part_other",
    509: "part_swapped",
    510: "part_rss",
    521: "sampled_bytes",
    522: "rounding",
    523: "rounding_error",
    524: "absent",
    525: "absent_error",
    526: "held_error",
    599: "part_read_ns",
    601: "machine_total",
    602: "machine_available",
}
"""enum ht_figure_key -> the name under which `Snapshot.memory` shows it."""
FIGURES_BY_STACK: Final = frozenset({502, 524})
"""Of these there is one for each stack (and one without, for what was too little to be told apart)."""

LOSSES: Final = (
    "log_full",
    "nested",
    "table_full",
    "pool_full",
    "live_full",
    "sample_table_full",
    "no_memory",
    "unknown_free",
    "unknown_free_bytes",
    "depth",
    "unwind_guess",
    "missed_free",
    "option",
    "mapping",
)
"""enum ht_loss of books.h, in order."""

AGENT_MEMORY: Final = ("books", "live", "stacks", "threads", "unwind")
"""enum ht_memory_kind of books.h, in order."""


class Layout:
    """One C struct: name, size in bytes, offset of each field, and how to read and write it."""

    def __init__(self, name: str, fields: str) -> None:
        self.name = name
        pairs = [field.split(":") for field in fields.split()]
        self.fields = tuple(field for field, _ in pairs)
        self.struct = struct.Struct("<" + "".join(code for _, code in pairs))
        self.size = self.struct.size
        self.offsets: dict[str, int] = {}
        position = 0
        for field, code in pairs:
            self.offsets[field] = position
            position += struct.calcsize("<" + code)
        self._arrays = {field: int(code[:-1]) for field, code in pairs if code[:-1] and code[-1] != "s"}

    def unpack(self, data: bytes | memoryview, offset: int = 0) -> dict[str, Any]:
        """The fields as Python values; arrays as tuples. Raises struct.error when `data` is too short."""
        values = iter(self.struct.unpack_from(data, offset))
        return {
            field: tuple(next(values) for _ in range(self._arrays[field])) if field in self._arrays else next(values)
            for field in self.fields
        }

    def pack(self, **values: Any) -> bytes:
        """The struct's bytes. Fields that are not named are zero."""
        flat: list[Any] = []
        for field in self.fields:
            if field in self._arrays:
                flat.extend(values.get(field, (0,) * self._arrays[field]))
            else:
                flat.append(values.get(field, 0))
        return self.struct.pack(*flat)


FILE_HEADER: Final = Layout("ht_file_header", "magic:8s version:I header_bytes:I created_realtime_ns:Q reserved:Q")
SEQUENCE_MODULUS: Final = 1 << 16
RECORD: Final = Layout("ht_record", "mark:I crc:I type:H sequence:H length:I")
PROCESS: Final = Layout(
    "ht_rec_process",
    "pid:i parent_pid:i uid:I mode:I process_start_ticks:Q ticks_per_second:Q started_realtime_ns:Q"
    " started_boottime_ns:Q interval:Q flags:I page_bytes:I cpus:I argc:I",
)
MODULE: Final = Layout(
    "ht_rec_module",
    "module:I flags:I start:Q end:Q bias:Q seen_boottime_ns:Q phnum:I build_id_bytes:I path_bytes:I reserved:I",
)
PHDR: Final = Layout("ht_rec_phdr", "type:I flags:I offset:Q vaddr:Q filesz:Q memsz:Q align:Q")
UNLOAD: Final = Layout("ht_rec_unload", "module:I reserved:I boottime_ns:Q")
STACKS: Final = Layout("ht_rec_stacks", "count:I reserved:I")
SNAPSHOT: Final = Layout(
    "ht_rec_snapshot",
    "number:I kind:H flags:H realtime_ns:Q boottime_ns:Q interval:Q columns:I reserved:I count:Q",
)
COLUMN: Final = Layout("ht_column", "width:B zero:3B exceptions:I")
PACKED: Final = Layout(
    "ht_rec_packed",
    "snapshot:48s thinned:I reserved:I in_use_bytes:2Q alloc_bytes:2Q low_bytes:Q high_bytes:Q",
)
MEMORY: Final = Layout("ht_rec_memory", "snapshot:I count:I")
FIGURE: Final = Layout("ht_rec_figure", "key:I id:I boottime_ns:Q value:Q")
AGES: Final = Layout("ht_rec_ages", "snapshot:I count:I step:I reserved:I boottime_ns:Q left_out_bytes:Q")
AGE: Final = Layout("ht_rec_age", "id:I born:I bytes:Q variance:f objects:f")
AGENT: Final = Layout(
    "ht_rec_agent",
    "snapshot:I reserved:I losses:32Q memory:8Q stacks:Q recorder_cpu_ns:Q recorder_rss_bytes:Q bad_options:Q",
)
NOTE: Final = Layout("ht_rec_note", "severity:I reserved:I")
END: Final = Layout("ht_rec_end", "cause:I status:i realtime_ns:Q boottime_ns:Q oom_kills:Q")

STRUCTS: Final[dict[str, tuple[int, dict[str, int]]]] = {
    layout.name: (layout.size, layout.offsets)
    for layout in (
        FILE_HEADER,
        RECORD,
        PROCESS,
        MODULE,
        PHDR,
        UNLOAD,
        STACKS,
        SNAPSHOT,
        COLUMN,
        PACKED,
        AGES,
        AGE,
        MEMORY,
        FIGURE,
        AGENT,
        NOTE,
        END,
    )
}
"""C struct name -> (size, {field: offset}), for every struct of format.h."""
