#include "tests/gguf/allocation_count.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::atomic<uint64_t> live_bytes{0};
std::atomic<uint64_t> peak{0};
std::atomic<uint64_t> largest{0};

// The size is kept in front of the block; 16 bytes keep the default alignment.
constexpr size_t kFront = 16;
static_assert(kFront >= alignof(std::max_align_t));

void* take(size_t bytes) {
    void* block = std::malloc(bytes + kFront);
    if (!block) throw std::bad_alloc();
    *static_cast<size_t*>(block) = bytes;
    const uint64_t now = live_bytes += bytes;
    peak = std::max(peak.load(), now);
    largest = std::max<uint64_t>(largest.load(), bytes);
    return static_cast<char*>(block) + kFront;
}

void give(void* pointer) {
    if (!pointer) return;
    void* block = static_cast<char*>(pointer) - kFront;
    live_bytes -= *static_cast<size_t*>(block);
    std::free(block);
}

uint64_t live_at_start = 0;

}  // namespace

void* operator new(size_t bytes) { return take(bytes); }
void* operator new[](size_t bytes) { return take(bytes); }
void operator delete(void* pointer) noexcept { give(pointer); }
void operator delete[](void* pointer) noexcept { give(pointer); }
void operator delete(void* pointer, size_t) noexcept { give(pointer); }
void operator delete[](void* pointer, size_t) noexcept { give(pointer); }

namespace atlas::testing {

AllocationCount::AllocationCount() {
    live_at_start = live_bytes;
    peak = live_at_start;
    largest = 0;
}
uint64_t AllocationCount::peak_bytes() const { return peak - live_at_start; }
uint64_t AllocationCount::largest_bytes() const { return largest; }

}  // namespace atlas::testing
