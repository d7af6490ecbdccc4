#include "tests/end_to_end/thread_allocations.h"

#include <cstdlib>
#include <new>

namespace {

thread_local uint64_t n_allocations = 0;

void* take(size_t bytes) {
    ++n_allocations;
    void* block = std::malloc(bytes == 0 ? 1 : bytes);
    if (!block) throw std::bad_alloc();
    return block;
}

}  // namespace

void* operator new(size_t bytes) { return take(bytes); }
void* operator new[](size_t bytes) { return take(bytes); }
void operator delete(void* pointer) noexcept { std::free(pointer); }
void operator delete[](void* pointer) noexcept { std::free(pointer); }
void operator delete(void* pointer, size_t) noexcept { std::free(pointer); }
void operator delete[](void* pointer, size_t) noexcept { std::free(pointer); }

namespace atlas::testing {

uint64_t thread_allocations() { return n_allocations; }

}  // namespace atlas::testing
