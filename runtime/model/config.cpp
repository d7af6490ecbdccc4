#include "runtime/model/config.h"

#include <algorithm>
#include <cmath>

#include "runtime/model/limits.h"

namespace atlas {

namespace {

constexpr uint32_t kMaxHeadDim = 256;   // what the attention kernels keep in registers
constexpr uint32_t kHeadDimMultiple = 8;

struct Range {
    uint32_t low;
    uint32_t high;
};

class KeyReader {
  public:
    KeyReader(const gguf::File& file, std::string architecture) : file_(file), architecture_(std::move(architecture)) {}

    std::string full(std::string_view key) const { return fmt::format("{}.{}", architecture_, key); }
    bool has(std::string_view key) const { return file_.find(full(key)) != nullptr; }

    /// A count within `range`. Arrays (one number per layer) are read as one number if all agree.
    Result<uint32_t> count(std::string_view key, Range range) const {
        const std::string name = full(key);
        const gguf::KeyValue* entry = file_.find(name);
        if (entry != nullptr && entry->is_array) return uniform(name, range);
        ATLAS_TRY(const uint32_t found, file_.u32(name));
        return check(name, found, range);
    }

    Result<uint32_t> count_or(std::string_view key, Range range, uint32_t fallback) const {
        if (!has(key)) return fallback;
        return count(key, range);
    }

    Result<float> number(std::string_view key, float low, float high) const {
        const std::string name = full(key);
        ATLAS_TRY(const float found, file_.f32(name));
        if (!(found >= low && found <= high)) {
            return fail(ErrorCode::corrupt, "{}: expected a number in {} .. {}, found {}", name, low, high, found);
        }
        return found;
    }

    Result<float> number_or(std::string_view key, float low, float high, float fallback) const {
        if (!has(key)) return fallback;
        return number(key, low, high);
    }

    Result<std::string> text_or(std::string_view key, std::string_view fallback) const {
        if (!has(key)) return std::string(fallback);
        ATLAS_TRY(const std::string_view found, file_.string(full(key)));
        return std::string(found);
    }

  private:
    static Result<uint32_t> check(std::string_view name, uint32_t found, Range range) {
        if (found < range.low || found > range.high) {
            return fail(ErrorCode::corrupt, "{}: expected {} .. {}, found {}", name, range.low, range.high, found);
        }
        return found;
    }

    Result<uint32_t> uniform(const std::string& name, Range range) const {
        ATLAS_TRY(const std::vector<int64_t> values, file_.integers(name));
        if (values.empty()) return fail(ErrorCode::corrupt, "{}: expected a number, found an empty array", name);
        for (size_t i = 1; i < values.size(); ++i) {
            if (values[i] != values[0]) {
                return fail(ErrorCode::unsupported, "{}: layers that differ are not supported (found {} in layer 0, {} in layer {})", name,
                            values[0], values[i], i);
            }
        }
        if (values[0] < range.low || values[0] > range.high) {
            return fail(ErrorCode::corrupt, "{}: expected {} .. {}, found {}", name, range.low, range.high, values[0]);
        }
        return static_cast<uint32_t>(values[0]);
    }

    const gguf::File& file_;
    std::string architecture_;
};

Result<void> read_sizes(const KeyReader& keys, ModelConfig& config) {
    ATLAS_TRY(config.n_layer, keys.count("block_count", {1, kMaxLayers}));
    ATLAS_TRY(config.n_embd, keys.count("embedding_length", {1, kMaxWidth}));
    ATLAS_TRY(config.n_ff, keys.count("feed_forward_length", {1, kMaxWidth}));
    ATLAS_TRY(config.n_head, keys.count("attention.head_count", {1, kMaxHeads}));
    ATLAS_TRY(config.n_head_kv, keys.count_or("attention.head_count_kv", {1, kMaxHeads}, config.n_head));
    ATLAS_TRY(config.n_ctx_train, keys.count("context_length", {1, kMaxContext}));
    ATLAS_TRY_VOID(check_head_counts(keys.full("attention."), config.n_head, config.n_head_kv).map([](const HeadCounts&) {}));
    if (!keys.has("attention.key_length") && config.n_embd % config.n_head != 0) {
        return fail(ErrorCode::corrupt, "{}: expected a divisor of {} ({}), found {}", keys.full("attention.head_count"), config.n_embd,
                    keys.full("embedding_length"), config.n_head);
    }
    constexpr Range kHeadDims{1, kMaxWidth};
    ATLAS_TRY(config.head_dim, keys.count_or("attention.key_length", kHeadDims, config.n_embd / config.n_head));
    if (config.head_dim > kMaxHeadDim || config.head_dim % kHeadDimMultiple != 0) {
        return fail(ErrorCode::unsupported, "{}: supported are multiples of {} up to {}, found {}", keys.full("attention.key_length"),
                    kHeadDimMultiple, kMaxHeadDim, config.head_dim);
    }
    ATLAS_TRY(const uint32_t value_length, keys.count_or("attention.value_length", kHeadDims, config.head_dim));
    if (value_length != config.head_dim) {
        return fail(ErrorCode::unsupported, "{}: expected {} as for keys, found {}", keys.full("attention.value_length"), config.head_dim,
                    value_length);
    }
    // Up to the window full attention is the same thing, so the window becomes the longest context.
    ATLAS_TRY(const uint32_t window, keys.count_or("attention.sliding_window", {0, kMaxContext}, 0));
    if (window > 0) config.n_ctx_train = std::min(config.n_ctx_train, window);
    return {};
}

// Rope scaling: "linear" divides positions, "yarn" mixes (arXiv:2309.00071). Llama 3's own scaling comes as the tensor rope_freqs.weight
// and needs no key.
Result<void> read_rope_scaling(const KeyReader& keys, ModelConfig& config) {
    RopeParams& rope = config.rope;
    constexpr float kMaxFactor = 1e6f;
    ATLAS_TRY(const float old_factor, keys.number_or("rope.scale_linear", 0, kMaxFactor, 0));
    ATLAS_TRY(float factor, keys.number_or("rope.scaling.factor", 0, kMaxFactor, old_factor));
    if (factor == 0) factor = 1;  // writers put 0 for "not scaled"
    ATLAS_TRY(const std::string type, keys.text_or("rope.scaling.type", "linear"));
    ATLAS_TRY(const float attn_factor, keys.number_or("rope.scaling.attn_factor", 0, kMaxFactor, 1));
    if (type == "none") return {};
    if (type != "linear" && type != "yarn") {
        return fail(ErrorCode::unsupported, "{}: '{}' is not supported (known: none, linear, yarn)", keys.full("rope.scaling.type"), type);
    }
    rope.freq_scale = 1 / factor;
    rope.attn_factor = attn_factor;
    if (type == "linear") return {};

    ATLAS_TRY(const float log_multiplier, keys.number_or("rope.scaling.yarn_log_multiplier", -kMaxFactor, kMaxFactor, 0));
    if (log_multiplier != 0) {
        return fail(ErrorCode::unsupported, "{}: not supported, found {}", keys.full("rope.scaling.yarn_log_multiplier"), log_multiplier);
    }
    ATLAS_TRY(const float ext_factor, keys.number_or("rope.scaling.yarn_ext_factor", -kMaxFactor, kMaxFactor, -1));
    rope.ext_factor = ext_factor < 0 ? 1.0f : ext_factor;  // negative: not set
    ATLAS_TRY(rope.beta_fast, keys.number_or("rope.scaling.yarn_beta_fast", 1e-3f, kMaxFactor, 32));
    ATLAS_TRY(rope.beta_slow, keys.number_or("rope.scaling.yarn_beta_slow", 1e-3f, kMaxFactor, 1));
    ATLAS_TRY(rope.n_ctx_orig, keys.count_or("rope.scaling.original_context_length", {0, kMaxContext}, 0));
    if (rope.n_ctx_orig == 0) rope.n_ctx_orig = config.n_ctx_train;
    return {};
}

Result<void> read_rope(const KeyReader& keys, RopeParams::Pairing pairing, ModelConfig& config) {
    RopeParams& rope = config.rope;
    rope.pairing = pairing;
    rope.head_dim = config.head_dim;
    ATLAS_TRY(rope.n_rot, keys.count_or("rope.dimension_count", {2, config.head_dim}, config.head_dim));
    if (rope.n_rot % 2 != 0) {
        return fail(ErrorCode::corrupt, "{}: expected an even number, found {}", keys.full("rope.dimension_count"), rope.n_rot);
    }
    ATLAS_TRY(rope.rope_theta, keys.number_or("rope.freq_base", 1.0001f, 1e12f, 10000.0f));
    return read_rope_scaling(keys, config);
}

}  // namespace

Result<ModelConfig> read_decoder_config(const gguf::File& file, RopeParams::Pairing pairing) {
    ModelConfig config;
    ATLAS_TRY(const std::string_view architecture, file.string("general.architecture"));
    config.architecture = architecture;
    config.name = file.string_or("general.name", "");
    const KeyReader keys(file, config.architecture);

    ATLAS_TRY(const uint32_t n_expert, keys.count_or("expert_count", {0, kMaxWidth}, 0));
    if (n_expert > 0) {
        return fail(ErrorCode::unsupported, "{}: mixtures of experts are not supported yet, found {} experts", keys.full("expert_count"),
                    n_expert);
    }
    ATLAS_TRY_VOID(read_sizes(keys, config));
    if (!file.boolean_or(keys.full("attention.causal"), true)) {
        return fail(ErrorCode::unsupported, "{}: expected true, found false (an embedding model, not a text generator)",
                    keys.full("attention.causal"));
    }
    ATLAS_TRY(config.rms_eps, keys.number("attention.layer_norm_rms_epsilon", 0.0f, 1.0f));
    ATLAS_TRY(config.attention_scale, keys.number_or("attention.scale", 0.0f, 1e6f, 0));
    if (config.attention_scale == 0) config.attention_scale = 1 / std::sqrt(static_cast<float>(config.head_dim));
    ATLAS_TRY_VOID(read_rope(keys, pairing, config));

    const gguf::TensorInfo* embedding = file.find_tensor("token_embd.weight");
    if (embedding == nullptr) {
        return fail(ErrorCode::not_found, "token_embd.weight: no such tensor (a vocabulary-only file cannot be run)");
    }
    const uint64_t n_vocab = embedding->shape.empty() ? 0 : embedding->shape[0];
    if (embedding->shape.size() != 2 || n_vocab < 1 || n_vocab > kMaxVocab) {
        return fail(ErrorCode::corrupt, "token_embd.weight: expected a matrix of 1 .. {} rows, found shape [{}]", kMaxVocab,
                    fmt::join(embedding->shape, ", "));
    }
    config.n_vocab = static_cast<uint32_t>(n_vocab);
    return config;
}

}  // namespace atlas
