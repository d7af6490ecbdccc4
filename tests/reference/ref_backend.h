#pragma once
// A Backend on host memory with RefOps: the forward pass as the oracle runs it. A program is the recorded function,
// which runs again each time.

#include <memory>

#include "runtime/ops/backend.h"
#include "tests/reference/ref_ops.h"

namespace atlas {

/// `available_bytes`: pretended budget, so that refusals can be tested.
std::unique_ptr<Backend> make_ref_backend(uint64_t available_bytes = uint64_t{16} << 30);

}  // namespace atlas
