#pragma once
// The architectures this build can run. A new one is a file arch/<name>.cpp and a row in registry.cpp.

#include <span>
#include <string_view>

#include "runtime/model/config.h"
#include "runtime/model/forward.h"
#include "runtime/model/weights.h"

namespace atlas {

struct Architecture {
    std::string_view name;  // as in general.architecture
    Result<ModelConfig> (*read_config)(const gguf::File& file);
    WeightTable (*weights)();
    Forward forward;
};

std::span<const Architecture* const> architectures();

/// The architecture that the file names. Fails: not_found (no general.architecture), unsupported (named, with the known ones).
Result<const Architecture*> find_architecture(const gguf::File& file);

}  // namespace atlas
