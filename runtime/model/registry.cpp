#include "runtime/model/registry.h"

#include <algorithm>
#include <array>

namespace atlas {

extern const Architecture kCohere2, kCommandR, kGemma2, kGemma3, kGlm4, kGranite, kLlama, kMistral3, kMuseGlimmer,
    kOlmo2, kPhi3, kQwen2, kQwen3, kQwen35, kSeedOss, kSmolLm3, kStarcoder, kStarcoder2;
extern const Architecture kDeepseek2, kGlm4Moe, kGptOss, kGraniteMoe, kMellum, kQwen2Moe, kQwen35Moe, kQwen3Moe;
extern const Architecture kCohere2Moe, kGemma4, kGraniteHybrid, kLaguna, kLfm2, kLfm2Moe, kNemotronH, kNemotronHMoe,
    kPhiMoe, kQwen3Next;

namespace {

constexpr auto kArchitectures = std::to_array<const Architecture*>({
    &kLlama,     &kQwen2,         &kQwen3,       &kCohere2,      &kCommandR, &kGemma2,     &kGemma3,  &kGlm4,
    &kGranite,   &kMistral3,      &kMuseGlimmer, &kOlmo2,        &kPhi3,     &kQwen35,     &kSeedOss, &kSmolLm3,
    &kStarcoder, &kStarcoder2,    &kDeepseek2,   &kGlm4Moe,      &kGptOss,   &kGraniteMoe, &kMellum,  &kQwen2Moe,
    &kQwen35Moe, &kQwen3Moe,      &kCohere2Moe,  &kGemma4,       &kLaguna,   &kLfm2,       &kLfm2Moe, &kPhiMoe,
    &kQwen3Next, &kGraniteHybrid, &kNemotronH,   &kNemotronHMoe,
});

}  // namespace

WeightTable Architecture::weights(const ModelConfig& config) const {
    WeightTable table{model_weights(config), {}, ignorable};
    for (const LayerConfig& layer : config.layers) table.layers.push_back(layer_weights(config, layer));
    return table;
}

std::span<const Architecture* const> architectures() { return kArchitectures; }

std::vector<const Architecture*> runnable_architectures() {
    std::vector<const Architecture*> all;
    std::copy_if(kArchitectures.begin(), kArchitectures.end(), std::back_inserter(all),
                 [](const Architecture* a) { return a->runs(); });
    return all;
}

const Architecture* architecture_named(std::string_view name) {
    const auto found = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                                    [&](const Architecture* a) { return a->name == name; });
    return found == kArchitectures.end() ? nullptr : *found;
}

Result<const Architecture*> find_architecture(const gguf::File& file) {
    ATLAS_TRY(const std::string_view name, file.string("general.architecture"));
    if (const Architecture* found = architecture_named(name); found != nullptr && found->runs()) return found;
    std::string known;
    for (const Architecture* architecture : runnable_architectures())
        known += (known.empty() ? "" : ", ") + std::string(architecture->name);
    return fail(ErrorCode::unsupported, "general.architecture: '{}' is not known (known: {})", name, known);
}

}  // namespace atlas
