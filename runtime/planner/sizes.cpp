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

Format mxfp4_mix(const TensorShape& tensor) {
    if (tensor.shape.size() < 2 || tensor.name.ends_with(".bias") || tensor.name.find("gate_inp") != std::string::npos)
        return Format::f32;
    const Format format = tensor.name.find("_exps.") != std::string::npos ? Format::mxfp4 : Format::q8_0;
    return tensor.shape.back() % info(format).block_elems == 0 ? format : Format::f16;
}

}  // namespace

Result<std::vector<QuantizedTensor>> quantized_tensors(const ModelShape& model, std::string_view quant,
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
    std::vector<QuantizedTensor> tensors;
    for (TensorShape& tensor : tensors_of(model)) {
        QuantizedTensor quantized;
        quantized.format =
            mxfp4 ? mxfp4_mix(tensor) : format_in(*recipe, mix, tensor.name, tensor.shape).value_or(Format::f32);
        quantized.bytes = bytes_of(quantized.format, tensor.elems());
        quantized.tensor = std::move(tensor);
        tensors.push_back(std::move(quantized));
    }
    return tensors;
}

Result<ModelSize> size_of(const ModelShape& model, std::string_view quant, bool has_importance) {
    ATLAS_TRY(const auto tensors, quantized_tensors(model, quant, has_importance));
    ModelSize size;
    double elems = 0, step = 0;
    const ExpertsConfig experts = model.experts();
    for (const QuantizedTensor& t : tensors) {
        size.tensor_bytes += t.bytes;
        size.largest_tensor_bytes = std::max(size.largest_tensor_bytes, t.bytes);
        elems += double(t.tensor.elems());
        if (t.tensor.name == "token_embd.weight" && !model.tied) continue;
        const bool is_expert = experts.n > 0 && t.tensor.name.find("_exps.") != std::string::npos;
        step += double(t.bytes) * (is_expert ? double(experts.n_used) / experts.n : 1.0);
    }
    size.file_bytes = size.tensor_bytes + metadata_bytes(model.config.n_vocab);
    size.step_bytes = static_cast<uint64_t>(step);
    size.bits_per_weight = 8.0 * double(size.tensor_bytes) / elems;
    return size;
}

std::vector<std::string> known_quantizations() {
    std::vector<std::string> names;
    for (const Recipe& recipe : recipes()) names.emplace_back(recipe.name);
    names.emplace_back(kMxfp4Mix);
    return names;
}

}  // namespace atlas
