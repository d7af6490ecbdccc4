#pragma once
// Counts this thread's calls of operator new, so that tests can hold a step to its promise.

#include <cstdint>

namespace atlas::testing {

/// Since the thread's start.
uint64_t thread_allocations();

}  // namespace atlas::testing
