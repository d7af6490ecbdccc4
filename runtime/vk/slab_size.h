#pragma once
// How much memory is available and how large the next slab should be. Pure.

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/vk/caps.h"
#include "runtime/vk/memory.h"
#include "runtime/vk/quirks.h"

namespace atlas::vk {

/// What this process may still take of a heap. `ours_bytes`: our slabs there. `limit_bytes`: never more than this for
/// us. The budget is clamped to the heap; quirks and their margin apply to the main heap only.
HeapState heap_state(const MemoryHeap& heap, uint64_t ours_bytes, const Quirks& quirks,
                     std::optional<uint64_t> limit_bytes, bool is_main);

struct SlabRequest {
    uint64_t needed_bytes = 0;  // <= available_bytes and max_bytes
    uint64_t held_bytes = 0;    // by this use already
    std::vector<uint64_t>
        expected;  // ranges still to come for this use, from this one on, as far as the caller knows; may be empty
    uint64_t available_bytes = 0;
    uint64_t most_shared_bytes = uint64_t{1} << 30;  // of what is expected
    uint64_t max_bytes = 0;
};

/// needed_bytes <= result <= available_bytes and max_bytes. Large pieces get their exact size; small ones share slabs
/// of 4 to 64 MiB that grow with what the use holds, so that at most about half of a small use is idle; with an
/// expectation, as many of the next ranges as most_shared_bytes holds, and not a byte more.
uint64_t slab_bytes(const SlabRequest& request);

}  // namespace atlas::vk
