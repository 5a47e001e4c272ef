// SPDX-License-Identifier: Apache-2.0
// cxx_new.cpp: new and delete in every form, each in a function of its own: eight blocks, of which three are kept.
// In namespace `made`, so that names must be demangled.
#include "truth.h"
#include <cstdint>
#include <new>

namespace made {

constexpr int BLOCKS = 8, KEPT = 3;

struct Plain {
    char bytes[40];
};
struct alignas(128) Aligned {
    char bytes[256];
};
struct Watched { // not trivial: an array of these carries its length in front
    long value = 7;
    ~Watched() { KEEP(this); }
};
constexpr size_t COOKIE = sizeof(size_t);

template <typename T> static void check(T *block) {
    if (!block || reinterpret_cast<uintptr_t>(block) % alignof(T)) abort();
    KEEP(block);
}

SITE static void plain(int i) {
    Plain *block = new Plain;
    check(block);
    took(sizeof(Plain));
    if (i < KEPT) return;
    delete block; // the sized form, since C++14
    gave(__func__, sizeof(Plain));
}

SITE static void array(int i) {
    size_t count = hidden(static_cast<size_t>(i) + 5);
    Plain *block = new Plain[count];
    check(block);
    took(count * sizeof(Plain));
    if (i < KEPT) return;
    delete[] block;
    gave(__func__, count * sizeof(Plain));
}

SITE static void array_with_a_length(int i) {
    size_t count = hidden(static_cast<size_t>(i) + 5), bytes = count * sizeof(Watched) + COOKIE;
    Watched *block = new Watched[count];
    check(block);
    took(bytes);
    if (i < KEPT) return;
    delete[] block;
    gave(__func__, bytes);
}

SITE static void nothrow(int i) {
    Plain *block = new (std::nothrow) Plain;
    check(block);
    took(sizeof(Plain));
    if (i < KEPT) return;
    delete block;
    gave(__func__, sizeof(Plain));
}

SITE static void nothrow_array(int i) {
    Plain *block = new (std::nothrow) Plain[hidden(6)];
    check(block);
    took(6 * sizeof(Plain));
    if (i < KEPT) return;
    delete[] block;
    gave(__func__, 6 * sizeof(Plain));
}

SITE static void aligned(int i) {
    Aligned *block = new Aligned;
    check(block);
    took(sizeof(Aligned));
    if (i < KEPT) return;
    delete block;
    gave(__func__, sizeof(Aligned));
}

SITE static void aligned_array(int i) {
    Aligned *block = new Aligned[hidden(3)];
    check(block);
    took(3 * sizeof(Aligned));
    if (i < KEPT) return;
    delete[] block;
    gave(__func__, 3 * sizeof(Aligned));
}

SITE static void aligned_nothrow(int i) {
    Aligned *block = new (std::nothrow) Aligned;
    check(block);
    took(sizeof(Aligned));
    if (i < KEPT) return;
    delete block;
    gave(__func__, sizeof(Aligned));
}

SITE static void aligned_nothrow_array(int i) {
    Aligned *block = new (std::nothrow) Aligned[hidden(2)];
    check(block);
    took(2 * sizeof(Aligned));
    if (i < KEPT) return;
    delete[] block;
    gave(__func__, 2 * sizeof(Aligned));
}

// The operators called by name, as containers' allocators do, with every form of delete in turn.
SITE static void by_operator(int i) {
    size_t bytes = hidden(320); // whole alignments, as aligned_alloc wants them: a C++ library may round up to that
    const auto alignment = std::align_val_t{64};
    void *block = i % 2 ? ::operator new(bytes, alignment) : ::operator new(bytes);
    KEEP(block);
    took(bytes);
    if (i < KEPT) return;
    switch (i) {
    case 4: ::operator delete(block); break;
    case 5: ::operator delete(block, alignment); break;
    case 6: ::operator delete(block, bytes); break;
    case 7: ::operator delete(block, bytes, alignment); break;
    default: ::operator delete(block, alignment, std::nothrow); break;
    }
    gave(__func__, bytes);
}

SITE static void by_array_operator(int i) {
    size_t bytes = hidden(448);
    const auto alignment = std::align_val_t{64};
    void *block = i % 2 ? ::operator new[](bytes, alignment) : ::operator new[](bytes);
    KEEP(block);
    took(bytes);
    if (i < KEPT) return;
    switch (i) {
    case 4: ::operator delete[](block); break;
    case 5: ::operator delete[](block, alignment); break;
    case 6: ::operator delete[](block, std::nothrow); break;
    case 7: ::operator delete[](block, bytes, alignment); break;
    default: ::operator delete[](block, alignment, std::nothrow); break;
    }
    gave(__func__, bytes);
}

} // namespace made

int main() {
    for (int i = 0; i < made::BLOCKS; i++) {
        made::plain(i);
        made::array(i);
        made::array_with_a_length(i);
        made::nothrow(i);
        made::nothrow_array(i);
        made::aligned(i);
        made::aligned_array(i);
        made::aligned_nothrow(i);
        made::aligned_nothrow_array(i);
        made::by_operator(i);
        made::by_array_operator(i);
    }
    truth_write(TRUTH_STAYS);
}
