#include "runtime/model/registry.h"

#include <array>

namespace atlas {

extern const Architecture kLlama;
extern const Architecture kQwen2;

namespace {

constexpr auto kArchitectures = std::to_array<const Architecture*>({
    &kLlama,
    &kQwen2,
});

}  // namespace

std::span<const Architecture* const> architectures() { return kArchitectures; }

Result<const Architecture*> find_architecture(const gguf::File& file) {
    ATLAS_TRY(const std::string_view name, file.string("general.architecture"));
    for (const Architecture* architecture : kArchitectures) {
        if (architecture->name == name) return architecture;
    }
    std::string known;
    for (const Architecture* architecture : kArchitectures) known += (known.empty() ? "" : ", ") + std::string(architecture->name);
    return fail(ErrorCode::unsupported, "general.architecture: '{}' is not known (known: {})", name, known);
}

}  // namespace atlas
