#include "runtime/planner/sizes.h"

#include <algorithm>
#include <array>

#include "quant/recipe.h"
#include "runtime/base/in_quotes.h"

namespace atlas {

namespace {

constexpr std::string_view kMxfp4Mix = "MXFP4",
                           kMxfp4MixElsewhere = "MXFP4_MOE";  // as gpt-oss calls it, and as quantizers do

// GGUF metadata is mostly the tokenizer. Measured: file size less tensors, of files of each family.
uint64_t metadata_bytes(uint32_t n_vocab) {
    struct Row {
        uint32_t n_vocab;
        uint64_t bytes;
    };
    constexpr auto kMeasured = std::to_array<Row>({{128256, 7835936},
                                                   {151936, 5958000},
                                                   {152064, 5958000},
                                                   {32000, 746000},
                                                   {32768, 760000},
                                                   {49152, 1782752},
                                                   {256000, 6046560}});
    for (const Row& row : kMeasured) {
        if (row.n_vocab == n_vocab) return row.bytes;
    }
    return uint64_t{n_vocab} * 40;  // between 23 and 61 bytes a token in those
}

bool same_name(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

Format mxfp4_mix(const gguf::TensorInfo& tensor) {
    if (tensor.shape.size() < 2 || tensor.name.ends_with(".bias") || tensor.name.find("gate_inp") != std::string::npos)
        return Format::f32;
    const Format format = tensor.name.find("_exps.") != std::string::npos ? Format::mxfp4 : Format::q8_0;
    return tensor.shape.back() % info(format).block_elems == 0 ? format : Format::f16;
}

// Smallest quantization first.
std::vector<std::string> known_quantizations() {
    std::vector<std::string> names;
    for (const Recipe& recipe : recipes()) names.emplace_back(recipe.name);
    names.emplace_back(kMxfp4Mix);
    return names;
}

}  // namespace

Result<std::vector<gguf::TensorInfo>> quantized_tensors(const ModelShape& model, std::string_view quant,
                                                        bool has_importance) {
    const bool mxfp4 = same_name(quant, kMxfp4Mix) || same_name(quant, kMxfp4MixElsewhere);
    const Recipe* recipe = find_recipe(quant);
    if (recipe == nullptr && !mxfp4) {
        return fail(ErrorCode::not_found, "no quantization {}; known: {}", in_quotes(quant),
                    fmt::join(known_quantizations(), ", "));
    }
    const ExpertsConfig experts = model.experts();
    const MixModel mix{.n_layer = model.n_layer(),
                       .n_gqa = model.n_head() / std::max(1u, model.n_head_kv()),
                       .n_expert = experts.n,
                       .tied_output = model.tied,
                       .has_importance = has_importance};
    std::vector<gguf::TensorInfo> tensors = tensors_of(model);
    for (gguf::TensorInfo& tensor : tensors) {
        tensor.format =
            mxfp4 ? mxfp4_mix(tensor) : format_in(*recipe, mix, tensor.name, tensor.shape).value_or(Format::f32);
        tensor.bytes = bytes_of(*tensor.format, elems_of(tensor));
    }
    return tensors;
}

ModelSize size_of(std::span<const gguf::TensorInfo> tensors, const ModelShape& model) {
    ModelSize size;
    double elems = 0, step = 0;
    const ExpertsConfig experts = model.experts();
    for (const gguf::TensorInfo& tensor : tensors) {
        size.tensor_bytes += tensor.bytes;
        size.largest_tensor_bytes = std::max(size.largest_tensor_bytes, tensor.bytes);
        elems += double(elems_of(tensor));
        if (tensor.name == "token_embd.weight" && !model.tied) continue;
        const bool is_expert = experts.n > 0 && tensor.name.find("_exps.") != std::string::npos;
        step += double(tensor.bytes) * (is_expert ? double(experts.routing.n_used) / experts.n : 1.0);
    }
    size.step_bytes = static_cast<uint64_t>(step);
    size.bits_per_weight = elems > 0 ? 8 * double(size.tensor_bytes) / elems : 0;
    return size;
}

Result<ModelSize> size_of(const ModelShape& model, std::string_view quant, bool has_importance) {
    ATLAS_TRY(const auto tensors, quantized_tensors(model, quant, has_importance));
    ModelSize size = size_of(tensors, model);
    size.file_bytes = size.tensor_bytes + metadata_bytes(model.config.n_vocab);
    return size;
}

}  // namespace atlas
