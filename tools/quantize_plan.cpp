#include "tools/quantize_plan.h"

#include <fmt/format.h>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/gguf/file_error.h"
#include "runtime/model/limits.h"

namespace atlas::tools {

namespace {

uint64_t elems_of(const gguf::TensorInfo& tensor) {
    uint64_t elems = 1;
    for (const uint64_t extent : tensor.shape) elems *= extent;  // the reader has checked the product
    return elems;
}

Result<MixModel> model_of(const gguf::File& file, bool has_importance) {
    ATLAS_TRY(const std::string_view arch_view, file.string("general.architecture"));
    const std::string arch(arch_view);
    MixModel model;
    ATLAS_TRY(model.n_layer, file.u32(arch + ".block_count"));
    const std::string name = printable(file.path().string(), 400);
    if (model.n_layer < 1 || model.n_layer > kMaxLayers) {
        return fail(ErrorCode::corrupt, "{}: {}.block_count: expected 1 .. {}, found {}", name, arch, kMaxLayers,
                    model.n_layer);
    }
    // Models without attention have no heads.
    if (file.find(arch + ".attention.head_count") != nullptr) {
        const auto heads = read_head_counts(file, arch);
        if (!heads) return gguf::fail_in_file(file.path(), heads.error());
        model.n_gqa = heads->n_head / heads->n_head_kv;
    }
    model.n_expert = file.u32_or(arch + ".expert_count", 0);
    model.tied_output = file.find_tensor("output.weight") == nullptr;
    model.has_importance = has_importance;
    return model;
}

Result<std::span<const float>> importance_of(const Importance& importance, const gguf::TensorInfo& tensor) {
    const auto found = importance.find(tensor.name);
    if (found == importance.end()) return std::span<const float>();
    const uint64_t columns = tensor.shape.back(), matrices = found->second.size() / columns;
    const uint64_t rows = elems_of(tensor) / columns;
    if (matrices == 0 || found->second.size() % columns != 0 || rows % matrices != 0) {
        return fail(ErrorCode::invalid_argument, "the importance matrix has {} values for {}, which has rows of {}",
                    found->second.size(), in_quotes(tensor.name), columns);
    }
    return std::span<const float>(found->second);
}

}  // namespace

Result<QuantizePlan> plan_quantize(const gguf::File& file, const Recipe& recipe, const Importance& importance,
                                   bool requantize) {
    ATLAS_TRY(const MixModel model, model_of(file, !importance.empty()));
    QuantizePlan plan;
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        if (!tensor.format) {
            return fail(ErrorCode::unsupported, "tensor {} has storage type {}, which this version cannot read",
                        in_quotes(tensor.name), tensor.gguf_type);
        }
        const Format to = format_in(recipe, model, tensor.name, tensor.shape).value_or(*tensor.format);
        if (info(*tensor.format).block_elems > 1 && to != *tensor.format && !requantize) {
            return fail(ErrorCode::invalid_argument,
                        "tensor {} is {} already: quantizing it to {} loses more than from the original model. Use the "
                        "F16 or BF16 file, or say "
                        "--requantize",
                        in_quotes(tensor.name), info(*tensor.format).name, info(to).name);
        }
        ATLAS_TRY(const auto weights, importance_of(importance, tensor));
        plan.tensors.push_back({&tensor, to, weights});
        plan.in_bytes += tensor.bytes;
        plan.out_bytes += bytes_of(to, elems_of(tensor));
        plan.n_elems += elems_of(tensor);
    }
    return plan;
}

std::string tensor_line(const QuantizePlan& plan, size_t at) {
    const RewrittenTensor& tensor = plan.tensors[at];
    const Format from = *tensor.source->format;
    const char* note = tensor.importance.empty() || tensor.to == from ? "" : "  (weighted)";
    return fmt::format("[{:4}/{}] {:36} {:>6} -> {:6} {:>9}{}\n", at + 1, plan.tensors.size(),
                       printable(tensor.source->name), info(from).name, info(tensor.to).name,
                       bytes_text(bytes_of(tensor.to, elems_of(*tensor.source))), note);
}

}  // namespace atlas::tools
