# SPDX-License-Identifier: Apache-2.0
"""Whose code a frame is. A report names the leaf-most frame whose role is `user`.

| role | what it is |
|---|---|
| `agent` | heaptide's own frames |
| `allocator` | hands out memory for others: malloc's kin, operator new, well-known wrappers, libc's strdup etc. |
| `container` | the insides of the C++ (and Rust) library, wherever instantiated; an interpreter's constructors |
| `runtime` | the rest of the C and C++ runtime: program start, dynamic loader, threads, stdio |
| `user` | everything else |

The lists below are the documented ones; `--not-mine RE` adds to them. They go by what is certain: the exact name of a
function, or the library that it is in. Names that only sound like an allocator (`session_alloc`) stay the user's, since
taking a user's function away names a wrong line, and leaving a wrapper names the right one a frame too low. Their
models: pprof's drop_frames and the list in google/tcmalloc's profile writer.
"""

import re
from functools import lru_cache
from typing import Literal

Role = Literal["user", "allocator", "runtime", "container", "agent"]


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


AGENT_MODULES = _any_of(r"libheaptide\.so.*")
ALLOCATOR_MODULES = _any_of(r"libtcmalloc\w*[.-].*", r"libjemalloc\w*[.-].*", r"libmimalloc\w*[.-].*")
RUNTIME_MODULES = _any_of(
    r"libc\.so.*",
    r"libc-\d.*\.so",
    r"libc\.musl-.*",
    r"ld-linux.*",
    r"ld-musl-.*",
    r"ld64?\.so.*",
    r"ld-\d.*\.so",
    r"lib(?:pthread|dl|rt|m|util|anl|nsl|resolv|BrokenLocale)[.-](?:so|\d).*",
    r"libgcc_s\.so.*",
    r"lib(?:stdc\+\+|c\+\+|c\+\+abi|unwind)\.so.*",
    r"\[vdso\]",
    r"linux-(?:vdso|gate)\.so.*",
)

ALLOCATOR_NAMES = _any_of(
    # the C library's own, under all its names
    r"(?:__libc_|__|_int_|__interceptor_|__wrap_|tc_|je_|jemalloc_|mi_|_mi_|rpmalloc_|__je_)?"
    r"(?:malloc|calloc|realloc|reallocarray|free|cfree|memalign|aligned_alloc|posix_memalign|valloc|pvalloc|free_sized"
    r"|free_aligned_sized|sdallocx|dallocx|mallocx|rallocx|xallocx)(?:_impl)?",
    r"sysmalloc(?:_mmap)?|tcache_init|malloc_consolidate|_mid_memalign|malloc_hook_ini|malloc_check|arena_get2|_mi_\w+",
    r"mi_(?:heap_)?(?:m|z|c|re|rez|rec)alloc\w*|mi_(?:heap_)?new\w*|tc_(?:new|delete)\w*",
    # libc functions that return fresh memory
    r"(?:__)?(?:strdup|strndup|wcsdup|asprintf|vasprintf|vasprintf_internal|getline|getdelim|tempnam|realpath)(?:_chk)?",
    # C++ and Rust
    r"operator (?:new|delete)(?:\[\])?",
    r"__builtin_(?:vec_)?(?:new|delete)",
    r"tcmalloc::.*|DoSampledAllocation|(?:\(anonymous namespace\)::)?do_(?:malloc|memalign|realloc|calloc)\w*",
    r"(?:std|__gnu_cxx)::.*::_?(?:M_)?(?:de)?allocate(?:_at_least)?|_M_(?:de)?allocate",
    r"__rust_(?:alloc|realloc|alloc_zeroed|dealloc)|__r[dg]l_\w+|(?:<?alloc::alloc::).*",
    # wrappers by their well-known names
    r"x_?(?:m|c|re|z|n?m|2n?re|rec|nre)alloc(?:array|_array|z|0)?|x(?:str(?:n)?dup|memdup|charalloc|calloc|v?asprintf)",
    r"(?:safe|checked|must|e|s|ck|my|ap|ngx|av|png|OPENSSL|CRYPTO|hi|mm|event_mm|zz?|ztry|ztryz)_?"
    r"(?:malloc|calloc|realloc|zalloc|strdup|strndup|memdup)(?:_|z|_usable(?:_internal)?)?",
    r"g_(?:try_)?(?:malloc|realloc|malloc0)(?:_n)?|g_(?:aligned_alloc0?|slice_\w+|str(?:n|v)?dup|strdup_v?printf|memdup2?)",
    r"jv_mem_(?:alloc|calloc|realloc|alloc_unguarded|calloc_unguarded|realloc_unguarded|strdup|strdup_unguarded)",
    r"sqlite3_?(?:Db)?(?:Mem)?_?(?:[Mm]alloc|[Rr]ealloc|MallocRaw|MallocZero|StrN?Dup)(?:64|NN|RawNN|Zero|Raw|RawFinish|RawNN)?"
    r"|dbMallocRawFinish|dbReallocFinish",
    r"xml(?:MemMalloc|MallocLoc|MallocAtomicLoc|ReallocLoc|MemReallocLoc|MemStrdupLoc|MemoryStrdup|StrN?dup)",
    # interpreters' own
    r"_?Py(?:Mem|Object|DataMem)_(?:Raw|Debug|DebugRaw)?(?:Malloc|Calloc|Realloc|Free|New|Strdup|RawStrdup|RawWcsdup)",
    r"_?PyObject_(?:GC_)?(?:Alloc|Malloc|Calloc|New|NewVar|Realloc|Resize)\w*|_?PyType_(?:Generic)?Alloc\w*",
    r"pymalloc_\w+|new_arena|allocate_from_new_pool|_PyMem_\w+|_PyObject_Arena\w+|gc_alloc|_PyObject_GC_\w+",
    r"luaM_\w+|l_alloc|objspace_xmalloc\w*|ruby_x(?:m|c|re)alloc\w*|rb_x(?:m|c|re)alloc\w*",
    r"Perl_safesys(?:m|c|re)alloc|_(?:safe_)?e(?:m|c|re)alloc\w*|zend_mm_alloc\w*",
)
CONTAINER_NAMES = _any_of(
    r"std::.*",
    r"__gnu_(?:cxx|debug|parallel)::.*",
    r"_[MS]_\w+",
    r"(?:boost::(?:container|unordered|intrusive|multi_index)|absl::(?:\w+::)?container_internal)::.*",
    r"<?(?:alloc::(?:raw_vec|vec|string|boxed|collections|rc|sync)|hashbrown)::.*",
    r"_?Py(?:Unicode|Long|Bytes|ByteArray|Float|Complex)_(?:New|From\w+|Decode\w+|Copy)|_?Py(?:List|Dict|Tuple|Set)_New\w*",
    r"list_resize|_?PyBytes_Resize|_?PyUnicode_Resize|unicode_resize|resize_compact|dictresize|new_keys_object",
)
RUNTIME_NAMES = _any_of(
    r"_start|__libc_start_main(?:_impl|_alias_\d)?|__libc_start_call_main|__libc_csu_init|call_init|_dl_\w+|dl_main",
    r"start_thread|(?:__)?clone3?|__cxa_\w+|__gxx_personality_v0|_Unwind_\w+|__cxxabiv1::.*|__run_exit_handlers",
    r"(?:__GI_)?_IO_\w+",
)


@lru_cache(maxsize=1 << 16)
def role_of(module: str | None, function: str | None) -> Role:
    """The role of a frame.

    Args:
        module: path of the program or library as recorded, or None.
        function: demangled name, with or without parameters, or None.
    """
    base = _base_name(module)
    if AGENT_MODULES.fullmatch(base):
        return "agent"
    if ALLOCATOR_MODULES.fullmatch(base):
        return "allocator"
    name = bare_name(function) if function else ""
    if ALLOCATOR_NAMES.fullmatch(name):
        return "allocator"
    if CONTAINER_NAMES.fullmatch(name):
        return "container"
    if RUNTIME_NAMES.fullmatch(name) or RUNTIME_MODULES.fullmatch(base):
        return "runtime"
    return "user"


def bare_name(function: str) -> str:
    """The qualified name alone: no return type, no parameters, no template arguments, no symbol version.

    >>> bare_name("void std::vector<int>::emplace_back<int>(int&&)")
    'std::vector::emplace_back'
    """
    name, depth, position = "", 0, 0
    while position < len(function):
        char = function[position]
        if depth == 0 and function.startswith("operator", position) and _is_word_start(name):
            return name + _operator(function[position:])
        if depth == 0 and function.startswith("(anonymous namespace)", position):
            name += "(anonymous namespace)"
            position += len("(anonymous namespace)")
            continue
        if char in "<(":
            if char == "(" and depth == 0 and name and not name.endswith("decltype"):
                break
            depth += 1
        elif char in ">)":
            depth = max(depth - 1, 0)
        elif depth == 0:
            name = "" if char == " " else name + char
        position += 1
    return name.partition("@")[0]


def _is_word_start(name: str) -> bool:
    return not name or name.endswith("::")


def _operator(text: str) -> str:
    """`operator new`, `operator<<`, `operator int`: up to its parameters."""
    if text.startswith("operator()"):
        return "operator()"
    return text.partition("(")[0].partition("@")[0].strip()


def _base_name(module: str | None) -> str:
    if module is None:
        return ""
    return module.removesuffix(" (deleted)").rpartition("/")[2]
