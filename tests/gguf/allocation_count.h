#pragma once
// Counts what this program allocates through operator new, so that tests can check the parser's promised limit.

#include <cstdint>

namespace atlas::testing {

/// Starts at 0 when it is made; one at a time. peak_bytes() is the most that was live at once since then.
class AllocationCount {
  public:
    AllocationCount();
    AllocationCount(const AllocationCount&) = delete;
    AllocationCount& operator=(const AllocationCount&) = delete;
    uint64_t peak_bytes() const;
    uint64_t largest_bytes() const;  // of a single request
};

}  // namespace atlas::testing
