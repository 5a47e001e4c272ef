# SPDX-License-Identifier: Apache-2.0
"""Whose code a frame is."""

from __future__ import annotations

import pytest

from heaptide.model.roles import bare_name, role_of

LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
LIBSTDCXX = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30"
STRING = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"

ROLES = {
    "agent": [("/opt/x/libheaptide.so", "malloc"), ("/opt/x/libheaptide.so", None)],
    "allocator": [
        (LIBC, "malloc"),
        (LIBC, "__libc_calloc"),
        (LIBC, "strdup"),
        (LIBSTDCXX, "operator new(unsigned long)"),
        ("/bin/p", "operator new[](unsigned long, std::align_val_t)"),
        ("/bin/p", "malloc"),
        ("/usr/lib/libtcmalloc_minimal.so.4.5.9", None),
        ("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "arena_malloc_hard"),
        ("/usr/lib/libmimalloc.so.2.0", "anything"),
        ("/bin/p", "tcmalloc::allocate_full_malloc_oom(unsigned long)"),
        ("/bin/p", "std::__new_allocator<char>::allocate(unsigned long, void const*)"),
        ("/bin/p", "std::allocator_traits<std::allocator<int> >::allocate(std::allocator<int>&, unsigned long)"),
        ("/bin/p", "std::_Vector_base<int, std::allocator<int> >::_M_allocate(unsigned long)"),
        ("/bin/p", "xmalloc"),
        ("/bin/p", "xstrdup"),
        ("/bin/redis-server", "ztrymalloc_usable_internal"),
        ("/bin/p", "hi_calloc"),
        ("/lib/libglib-2.0.so.0", "g_malloc0_n"),
        ("/lib/libsqlite3.so.0", "sqlite3DbMallocRawNN"),
        ("/lib/libjq.so.1", "jv_mem_alloc"),
        ("/bin/python3", "PyMem_RawMalloc"),
        ("/bin/python3", "_PyObject_Malloc"),
        ("/bin/python3", "_PyObject_GC_NewVar"),
        ("/bin/p", "__rust_alloc"),
    ],
    "container": [
        ("/bin/p", "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)"),
        ("/bin/p", f"{STRING}::_M_create(unsigned long&, unsigned long)"),
        (LIBSTDCXX, f"{STRING}::_M_assign({STRING} const&)"),
        ("/bin/p", "decltype(auto) std::visit<int>(int)"),
        ("/bin/p", "_M_realloc_insert<int>"),
        ("/bin/python3", "PyUnicode_New"),
        ("/bin/python3", "list_resize"),
    ],
    "runtime": [
        (LIBC, None),
        (LIBC, "qsort"),
        (LIBC, "__libc_start_call_main"),
        ("/lib64/ld-linux-x86-64.so.2", "_dl_map_object"),
        ("/lib/ld-musl-x86_64.so.1", "fopen"),
        ("/lib/x86_64-linux-gnu/libm.so.6", "exp"),
        ("[vdso]", None),
        ("/bin/static-program", "__libc_start_main"),
        ("/bin/p", "_start"),
        (LIBSTDCXX, "execute_native_thread_routine"),
    ],
    "user": [
        ("/bin/p", "main"),
        ("/bin/p", None),
        (None, None),
        ("/bin/p", "session_alloc"),
        ("/bin/p", "by_malloc"),
        ("/bin/p", "malloc_stats_page"),
        ("/bin/p", "mi_casa"),
        ("/bin/p", "leak(std::vector<int, std::allocator<int> >&)"),
        ("/bin/p", "(anonymous namespace)::leak(int)"),
        ("/bin/p", "main::{lambda(int)#1}::operator()(int) const"),
        ("/bin/p", "std_wrapper::f()"),
        ("/bin/p", "std::vector<int>& mine::operator=(std::vector<int> const&)"),
        ("/lib/libcrypto.so.3", "EVP_DigestInit"),
        ("/opt/libcool.so.6", "f"),
    ],
}


@pytest.mark.parametrize(
    ("role", "module", "function"), [(role, *frame) for role, frames in ROLES.items() for frame in frames]
)
def test_roles(role, module, function):
    assert role_of(module, function) == role
    if module:
        assert role_of(module + " (deleted)", function) == role


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("main", "main"),
        ("memcpy@@GLIBC_2.14", "memcpy"),
        ("ns::f(int, char (*)(long))", "ns::f"),
        ("std::map<int, std::pair<a, b> >::at(int const&) const", "std::map::at"),
        ("operator new[](unsigned long)", "operator new[]"),
        ("a::operator<<(b)", "a::operator<<"),
        ("a::operator()(int) const", "a::operator()"),
        ("a::operator std::string() const", "a::operator std::string"),
        ("unsigned long f<int>(int)", "f"),
        ("(anonymous namespace)::g<x>()", "(anonymous namespace)::g"),
        ("cooperator", "cooperator"),
        ("", ""),
    ],
)
def test_bare_name(function, name):
    assert bare_name(function) == name


def test_long_and_odd_names_end():
    for name in ("<" * 50_000, "(" * 50_000, "operator" * 10_000, "a<b>" * 20_000, ">>>)))"):
        assert role_of("/bin/p", name) in ROLES
