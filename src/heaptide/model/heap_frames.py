# SPDX-License-Identifier: Apache-2.0
"""Names of the functions that allocate: pprof drops such frames, and what they called, from reports of heaps.

Its own list is reproduced as a regular expression for `Columns.drop_frames`, with what it lacks today: newer names of
the C++ library, and other allocators.
"""

DROP_FRAMES = "|".join(
    (
        r"calloc|cfree|malloc|free|memalign|do_memalign|(?:__)?posix_memalign|aligned_alloc|pvalloc|valloc",
        r"realloc|reallocarray|tcmalloc::.*|tc_calloc|tc_cfree|tc_malloc|tc_free|tc_memalign|tc_posix_memalign",
        r"tc_pvalloc|tc_valloc|tc_realloc|tc_new|tc_delete|tc_newarray|tc_deletearray|tc_new_nothrow",
        r"tc_newarray_nothrow|malloc_zone_malloc|malloc_zone_calloc|malloc_zone_valloc|malloc_zone_realloc",
        r"malloc_zone_memalign|malloc_zone_free|runtime\..*|BaseArena::.*|(?:::)?do_malloc_no_errno",
        r"(?:::)?do_malloc_pages|(?:::)?do_malloc|DoSampledAllocation|MallocedMemBlock::MallocedMemBlock|_M_allocate",
        r"__builtin_(?:vec_)?delete|__builtin_(?:vec_)?new|__gnu_cxx::new_allocator::allocate|__libc_malloc",
        r"__malloc_alloc_template::allocate|allocate|cpp_alloc|operator new(?:\[\])?|simple_alloc::allocate",
        r"std::__new_allocator::allocate|std::allocator_traits::allocate|std::allocator::allocate",
        r"je_\w+|prof_backtrace\w*|prof_tctx_create|prof_alloc_prep|imalloc\w*|mallocx|rallocx|do_rallocx",
        r"malloc_default|newImpl|fallbackNewImpl\w*|mi_\w+",
    )
)
KEEP_FRAMES = r"runtime\.panic|runtime\.reflectcall|runtime\.call[0-9]*"
