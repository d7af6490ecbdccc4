#include "runtime/planner/file_shape.h"

#include <algorithm>
#include <map>

#include "quant/recipe.h"
#include "runtime/base/in_quotes.h"
#include "runtime/model/limits.h"
#include "runtime/model/load.h"
#include "runtime/model/registry.h"
#include "runtime/planner/cache_loss.h"

namespace atlas {

namespace {

class Keys {
  public:
    Keys(const gguf::File& file, std::string arch) : file_(file), arch_(std::move(arch)) {}

    /// A number, or the largest of one per layer. Missing: the fallback.
    uint32_t count(const char* key, uint32_t fallback) const {
        const auto values = file_.integers(fmt::format("{}.{}", arch_, key));
        if (!values || values->empty()) return fallback;
        const int64_t largest = *std::max_element(values->begin(), values->end());
        return largest >= 0 && largest <= UINT32_MAX ? static_cast<uint32_t>(largest) : fallback;
    }

  private:
    const gguf::File& file_;
    std::string arch_;
};

uint64_t elems_of(const gguf::TensorInfo& tensor) {
    uint64_t product = 1;
    for (const uint64_t extent : tensor.shape) product *= extent;
    return product;
}

ModelSize true_size(const gguf::File& file, const ModelShape& shape) {
    ModelSize size;
    double elems = 0, step = 0;
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        size.tensor_bytes += tensor.bytes;
        size.largest_tensor_bytes = std::max(size.largest_tensor_bytes, tensor.bytes);
        elems += double(elems_of(tensor));
        if (tensor.name == "token_embd.weight" && !shape.tied) continue;
        const bool experts = tensor.name.find("_exps.") != std::string::npos && shape.n_expert > 0;
        step += double(tensor.bytes) * (experts ? double(shape.n_expert_used) / shape.n_expert : 1.0);
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
        bytes[tensor.format ? std::string(info(*tensor.format).name) : fmt::format("type {}", tensor.gguf_type)] += tensor.bytes;
    }
    const auto most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == bytes.end() ? "none" : most->first;
}

}  // namespace

namespace {

// Where this build has the architecture its own reading of the keys counts, the one that loading goes by; it refuses what cannot be run.
Result<void> read_sizes(const gguf::File& file, const Keys& keys, ModelShape& s) {
    if (const auto architecture = find_architecture(file)) {
        ATLAS_TRY(const ModelConfig config, (*architecture)->read_config(file));
        s.n_layer = config.n_layer;
        s.n_embd = config.n_embd;
        s.n_head = config.n_head;
        s.n_head_kv = config.n_head_kv;
        s.head_dim = s.v_head_dim = config.head_dim;
        s.n_ff = config.n_ff;
        s.n_ctx = config.n_ctx_train;
        return {};
    }
    ATLAS_TRY(const HeadCounts heads, read_head_counts(file, s.arch));
    s.n_layer = keys.count("block_count", 0);
    s.n_embd = keys.count("embedding_length", 0);
    s.n_head = heads.n_head;
    s.n_head_kv = heads.n_head_kv;
    s.n_ff = keys.count("feed_forward_length", 0);
    s.n_ctx = keys.count("context_length", 0);
    s.head_dim = keys.count("attention.key_length", s.n_embd / s.n_head);
    s.v_head_dim = keys.count("attention.value_length", s.head_dim);
    s.n_expert = keys.count("expert_count", 0);
    s.n_expert_used = std::min(keys.count("expert_used_count", 0), s.n_expert);
    s.n_ff_expert = keys.count("expert_feed_forward_length", s.n_expert > 0 ? s.n_ff : 0);
    s.n_dense_layers = keys.count("leading_dense_block_count", 0);
    s.kv_lora_rank = keys.count("attention.kv_lora_rank", 0);
    s.rope_head_dim = keys.count("rope.dimension_count", 0);
    s.window = keys.count("attention.sliding_window", 0);
    if (s.window > 0 && (s.arch == "gemma2" || s.arch == "gpt-oss")) s.full_every = 2;
    if (s.window > 0 && s.arch == "gemma3") s.full_every = 6;
    return {};
}

Result<FileShape> read_shape(const gguf::File& file) {
    ATLAS_TRY(const std::string_view arch, file.string("general.architecture"));
    const Keys keys(file, std::string(arch));
    FileShape found;
    ModelShape& s = found.shape;
    s.id = printable(file.string_or("general.name", file.path().filename().string()));
    s.arch = arch;
    ATLAS_TRY_VOID(read_sizes(file, keys, s));
    const gguf::TensorInfo* embd = file.find_tensor("token_embd.weight");
    if (embd == nullptr || embd->shape.size() != 2) return fail(ErrorCode::corrupt, "no token_embd.weight of two dimensions");
    s.n_vocab = static_cast<uint32_t>(std::min<uint64_t>(embd->shape[0], UINT32_MAX));
    ATLAS_TRY_VOID(check_shape(s, ""));
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
