#pragma once
// What a model file needs, from its header alone.

#include "runtime/gguf/reader.h"
#include "runtime/model/registry.h"
#include "runtime/model/room.h"

namespace atlas {

/// A file's config and tensors, checked by the rules of its architecture: what plans and the loader work with.
struct ResolvedFile {
    const Architecture* architecture = nullptr;
    ModelConfig config;
    std::vector<ResolvedWeight> weights;

    PlanInput plan_input() const { return {config, weights, architecture->forward}; }
    PlanInput plan_input(const Backend& backend) const {
        return {config, weights, architecture->forward, backend.overhead_bytes(), backend.max_storage_bytes()};
    }
};
/// For no device. Fails: what config and rules refuse.
Result<ResolvedFile> resolve_file(const gguf::File& file);
/// With the layouts that the backend wants. Fails: as above; unsupported (a format that it cannot read, a tensor that
/// is larger than a storage may be). `architecture`: instead of the one that the file names.
Result<ResolvedFile> resolve_file(const gguf::File& file, const Backend& backend,
                                  const Architecture* architecture = nullptr);

/// What a file needs, without a device: config, table and plan. Fails: as Model::load, without the memory checks.
Result<MemoryPlan> plan_file(const gguf::File& file, const SessionShape& shape);

/// Whether the keys and the tensors of a file can be a model's, for callers that do not load it: refuses what
/// Model::load refuses as not_found or corrupt. Intact files that this build does not support pass, and so do other
/// architectures. Fails: not_found, corrupt (both name the file).
Result<void> check_model_file(const gguf::File& file);

}  // namespace atlas
