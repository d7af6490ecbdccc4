#pragma once
// Repeats what can fail for a while: connections that stall or break, servers that are busy.

#include <cstdint>
#include <functional>
#include <string>

#include "tools/models/download.h"

namespace atlas::tools {

/// How one try ended.
struct Outcome {
    enum class Kind { done, again, over, failed } kind = Kind::done;  // over: start from the first byte
    Error error;
};

/// Calls `attempt` until it is done, fails for good, or makes no progress for options.tries times. `progress` returns
/// how far it is; `what` begins every message. Fails: as the attempt, network, cancelled.
Result<void> with_tries(const DownloadOptions& options, const std::string& what,
                        const std::function<Outcome()>& attempt, const std::function<uint64_t()>& progress);

}  // namespace atlas::tools
