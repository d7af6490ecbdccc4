#pragma once
// The same work on several threads.

#include <cstdint>
#include <functional>

namespace atlas {

/// Calls `work` on this thread and on n_threads - 1 others, and returns when all have returned. If the system cannot
/// start that many threads, fewer do the work. The first exception that one of them throws (out of memory) is thrown
/// here, after all have ended.
void on_threads(uint32_t n_threads, const std::function<void()>& work);

}  // namespace atlas
