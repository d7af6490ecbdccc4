#pragma once
// A model's shapes and kernels without its memory: loaded onto a PlanBackend.

#include <filesystem>
#include <memory>
#include <string_view>

#include "bench/plan_backend.h"
#include "runtime/model/load.h"

namespace atlas::bench {

/// The backend must outlive the model. Fails: as find_shape and Model::load, but for memory.
Result<std::shared_ptr<const Model>> plan_shape(std::string_view wish, PlanBackend& backend);
Result<std::shared_ptr<const Model>> plan_model_file(const std::filesystem::path& path, PlanBackend& backend);

/// Plans what a session of the model uses: decode, verify widths, chunks of a prompt. Then backend.kernels() holds
/// them. Fails: limit.
Result<void> plan_model_kernels(const Model& model, KvFormats kv);

}  // namespace atlas::bench
