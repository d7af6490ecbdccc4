#include "runtime/planner/file_shape.h"

#include <algorithm>
#include <map>

#include "quant/recipe.h"
#include "runtime/base/in_quotes.h"
#include "runtime/model/load.h"
#include "runtime/model/registry.h"
#include "runtime/planner/cache_loss.h"

namespace atlas {

namespace {

uint64_t elems_of(const gguf::TensorInfo& tensor) {
    uint64_t product = 1;
    for (const uint64_t extent : tensor.shape) product *= extent;
    return product;
}

ModelSize true_size(const gguf::File& file, const ModelShape& shape) {
    ModelSize size;
    const ExpertsConfig experts = shape.experts();
    double elems = 0, step = 0;
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        size.tensor_bytes += tensor.bytes;
        size.largest_tensor_bytes = std::max(size.largest_tensor_bytes, tensor.bytes);
        elems += double(elems_of(tensor));
        if (tensor.name == "token_embd.weight" && !shape.tied) continue;
        const bool is_expert = tensor.name.find("_exps.") != std::string::npos && experts.n > 0;
        step += double(tensor.bytes) * (is_expert ? double(experts.n_used) / experts.n : 1.0);
    }
    size.file_bytes = file.file_bytes();
    size.step_bytes = static_cast<uint64_t>(step);
    size.bits_per_weight = elems > 0 ? 8 * double(size.tensor_bytes) / elems : 0;
    return size;
}

// Of an architecture that this build has, the loader's own plan, which compares every tensor's shape with the config.
Result<uint64_t> device_bytes(const gguf::File& file) {
    if (find_architecture(file)) {
        SessionShape smallest;
        smallest.n_ctx = smallest.n_batch = 1;
        ATLAS_TRY(const MemoryPlan plan, plan_file(file, smallest));
        return plan.weights_bytes;
    }
    uint64_t sum = 0;
    for (const gguf::TensorInfo& tensor : file.tensors()) sum += storage_bytes(tensor.bytes);
    return sum;
}

std::string quant_of(const gguf::File& file) {
    const uint32_t file_type = file.u32_or("general.file_type", UINT32_MAX);
    for (const Recipe& recipe : recipes()) {
        if (recipe.file_type == file_type) return std::string(recipe.name);
    }
    std::map<std::string, uint64_t> bytes;
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        bytes[tensor.format ? std::string(info(*tensor.format).name) : fmt::format("type {}", tensor.gguf_type)] +=
            tensor.bytes;
    }
    const auto most =
        std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == bytes.end() ? "none" : most->first;
}

}  // namespace

namespace {

// Architectures that this build knows read their own keys, so that the plan is what loading would do, and what loading
// refuses is refused here.
Result<ModelConfig> config_of(const gguf::File& file, std::string_view architecture) {
    const Architecture* known = architecture_named(architecture);
    return known != nullptr ? known->read_config(FileKeys(file)) : read_any_config(FileKeys(file));
}

Result<FileShape> read_shape(const gguf::File& file) {
    ATLAS_TRY(const std::string_view arch, file.string("general.architecture"));
    FileShape found;
    ModelShape& s = found.shape;
    s.id = printable(file.string_or("general.name", file.path().filename().string()));
    s.arch = arch;
    ATLAS_TRY(s.config, config_of(file, arch));
    s.tied = file.find_tensor("output.weight") == nullptr;
    const CacheTraits traits = cache_traits(file);
    s.fitted_cache = traits.fitted;
    s.key_bias_left = traits.key_bias_left;
    s.rope_factors = file.find_tensor("rope_freqs.weight") != nullptr;
    for (const gguf::TensorInfo& tensor : file.tensors()) s.parameters += elems_of(tensor);
    found.size = true_size(file, s);
    ATLAS_TRY(found.weights_bytes, device_bytes(file));
    found.quant = printable(quant_of(file));
    return found;
}

}  // namespace

Result<FileShape> shape_of_file(const gguf::File& file) {
    auto shape = read_shape(file);
    if (!shape) return fail_in(in_quotes(file.path().string(), 400), shape.error());
    return shape;
}

}  // namespace atlas
