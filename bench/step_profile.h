#pragma once
// The device time of one recorded step, by kernel.

#include <string>
#include <vector>

#include "bench/model_bench.h"
#include "runtime/kernels/vk_backend.h"

namespace atlas::bench {

/// Profiles verify steps of options.verify columns at every one of options.depths. Requires a backend with
/// VkBackendOptions::profile that loaded the model. Barriers stand between labels, so the sum is a little longer than a
/// step. Fails: unsupported (no timestamps), out_of_memory.
Result<std::vector<ProfileRow>> profile_steps(VkBackend& backend, const Model& model, const BenchOptions& options);

/// A table per step, slowest kernel first.
std::string profile_tables(const std::vector<ProfileRow>& rows);

}  // namespace atlas::bench
