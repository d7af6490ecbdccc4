#pragma once
// The architectures that this build knows. A new one is a file arch/<name>.cpp and a row in registry.cpp.

#include <span>
#include <string_view>

#include "runtime/model/file_keys.h"
#include "runtime/model/forward.h"
#include "runtime/model/weights.h"

namespace atlas {

struct Architecture {
    std::string_view name;  // as in general.architecture
    Result<ModelConfig> (*read_config)(const KeySource& keys);
    WeightRules (*model_weights)(const ModelConfig& config);
    WeightRules (*layer_weights)(const ModelConfig& config, const LayerConfig& layer);
    std::span<const std::string_view> ignorable = {};  // see WeightTable
    Forward forward = nullptr;                         // none: it can be planned, not run

    WeightTable weights(const ModelConfig& config) const;
    bool runs() const { return forward != nullptr; }
};

std::span<const Architecture* const> architectures();
/// Those with a forward pass.
std::vector<const Architecture*> runnable_architectures();

/// Null: not known.
const Architecture* architecture_named(std::string_view name);

/// The architecture that the file names, which this build can run. Fails: not_found (no general.architecture),
/// unsupported (named, with those that run).
Result<const Architecture*> find_architecture(const gguf::File& file);

}  // namespace atlas
