#include "runtime/planner/file_shape.h"

#include <algorithm>
#include <map>

#include "quant/recipe.h"
#include "runtime/base/in_quotes.h"
#include "runtime/gguf/file_error.h"
#include "runtime/model/file_plan.h"
#include "runtime/planner/cache_loss.h"

namespace atlas {

namespace {

// Of an architecture that this build runs, the storages that the loader makes, after it compared every tensor's shape
// with the config.
Result<uint64_t> device_bytes(const gguf::File& file) {
    if (find_architecture(file)) {
        ATLAS_TRY(const ResolvedFile found, resolve_file(file));
        return sum_of(storages_of(found.weights));
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

Result<FileShape> read_shape(const gguf::File& file) {
    ATLAS_TRY(const std::string_view arch, file.string("general.architecture"));
    FileShape found;
    ModelShape& s = found.shape;
    s.id = printable(file.string_or("general.name", file.path().filename().string()));
    s.arch = arch;
    // Architectures that this build knows read their own keys, so that the plan is what loading would do, and what
    // loading refuses is refused here.
    ATLAS_TRY(s.config, config_of_keys(FileKeys(file)));
    s.tied = file.find_tensor("output.weight") == nullptr;
    const CacheTraits traits = cache_traits(file);
    s.fitted_cache = traits.fitted;
    s.key_bias_left = traits.key_bias_left;
    s.rope_factors = file.find_tensor("rope_freqs.weight") != nullptr;
    for (const gguf::TensorInfo& tensor : file.tensors()) s.parameters += elems_of(tensor);
    found.size = size_of(file.tensors(), s);
    found.size.file_bytes = file.file_bytes();
    ATLAS_TRY(found.weights_bytes, device_bytes(file));
    found.quant = printable(quant_of(file));
    return found;
}

}  // namespace

Result<FileShape> shape_of_file(const gguf::File& file) {
    auto shape = read_shape(file);
    if (!shape) return gguf::fail_in_file(file.path(), shape.error());
    return shape;
}

}  // namespace atlas
