#include "runtime/model/weights.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace atlas {

namespace {

std::string supported_formats(const std::function<bool(Format)>& can_read) {
    std::string list;
    for (size_t i = 0; i < kFormats.size(); ++i) {
        if (!can_read(static_cast<Format>(i))) continue;
        if (!list.empty()) list += ", ";
        list += kFormats[i].name;
    }
    return list;
}

// Tensors that a file may carry and that change nothing: rotary tables of old converters, scales of quantized activations
// (they only steer 4-bit activation kernels).
bool is_ignorable(std::string_view name) {
    constexpr auto kEndings = std::to_array<std::string_view>({".input_scale", ".attn_rot_embd", ".rotary_emb.inv_freq", "rope.freqs"});
    return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

// Of "blk.7.attn_q.weight" 7.
std::optional<uint32_t> layer_of(std::string_view name) {
    constexpr std::string_view kStart = "blk.";
    if (!name.starts_with(kStart)) return std::nullopt;
    uint32_t layer = 0;
    const auto [end, error] = std::from_chars(name.data() + kStart.size(), name.data() + name.size(), layer);
    return error == std::errc() ? std::optional(layer) : std::nullopt;
}

class Resolver {
  public:
    /// file: where scales are read from; null when there is none.
    Resolver(std::span<const gguf::TensorInfo> tensors, const gguf::File* file, const ModelConfig& config,
             const std::function<bool(Format)>& can_read)
        : tensors_(tensors), file_(file), config_(config), can_read_(can_read) {
        for (const gguf::TensorInfo& info : tensors) by_name_.emplace(info.name, &info);
    }

    Result<std::vector<ResolvedWeight>> all(const WeightTable& table) && {
        for (const ModelWeightRule& rule : table.model) {
            ResolvedWeight weight;
            weight.model_slot = rule.slot;
            ATLAS_TRY_VOID(add(rule, std::string(rule.name), weight));
        }
        for (uint32_t layer = 0; layer < config_.n_layer; ++layer) {
            for (const LayerWeightRule& rule : table.layer) {
                ResolvedWeight weight;
                weight.layer = layer;
                weight.layer_slot = rule.slot;
                ATLAS_TRY_VOID(add(rule, fmt::format("blk.{}.{}", layer, rule.name), weight));
            }
        }
        return std::move(*this).finish();
    }

  private:
    const gguf::TensorInfo* find(std::string_view name) const {
        const auto found = by_name_.find(name);
        return found == by_name_.end() ? nullptr : found->second;
    }

    template <class Rule>
    Result<void> add(const Rule& rule, const std::string& name, ResolvedWeight weight) {
        const gguf::TensorInfo* info = find(name);
        if (info == nullptr) {
            if (rule.need == Need::optional) return {};
            return fail(ErrorCode::not_found, "{}: the file has no such tensor, and {} needs it", name, config_.architecture);
        }
        used_.insert(info->name);
        weight.source = info;
        weight.rows = rule.rows == nullptr ? 1 : rule.rows(config_);
        weight.cols = rule.cols(config_);
        const bool is_vector = rule.rows == nullptr;
        ATLAS_TRY_VOID(check_shape(*info, is_vector, weight));
        ATLAS_TRY_VOID(check_format(*info, is_vector, weight));
        if constexpr (requires { rule.content; }) weight.content = rule.content;
        if constexpr (requires { rule.scale; }) {
            if (rule.scale != Scale::refused) ATLAS_TRY_VOID(find_scale(name, rule.scale, weight));
        }
        resolved_.push_back(weight);
        return {};
    }

    Result<std::vector<ResolvedWeight>> finish() && {
        for (const gguf::TensorInfo& info : tensors_) {
            if (used_.contains(info.name) || is_ignorable(info.name)) continue;
            if (const auto layer = layer_of(info.name); layer && *layer >= config_.n_layer) {
                return fail(ErrorCode::corrupt, "{}: a tensor of layer {}, but {}.block_count says {} layers", info.name, *layer, config_.architecture,
                            config_.n_layer);
            }
            return fail(ErrorCode::unsupported,
                        "{}: architecture {} as it is known here has no such tensor (of {} layers); without it the model would compute "
                        "something else",
                        info.name, config_.architecture, config_.n_layer);
        }
        return std::move(resolved_);
    }

    static Result<void> check_shape(const gguf::TensorInfo& info, bool is_vector, const ResolvedWeight& weight) {
        std::vector<uint64_t> found = info.shape;
        while (found.size() > (is_vector ? 1u : 2u) && found.front() == 1) found.erase(found.begin());
        const bool fits = is_vector ? found == std::vector<uint64_t>{weight.cols} : found == std::vector<uint64_t>{weight.rows, weight.cols};
        if (fits) return {};
        const std::string expected = is_vector ? fmt::format("[{}]", weight.cols) : fmt::format("[{}, {}]", weight.rows, weight.cols);
        return fail(ErrorCode::corrupt, "{}: expected shape {}, found [{}] (outermost first)", info.name, expected,
                    fmt::join(info.shape, ", "));
    }

    Result<void> check_format(const gguf::TensorInfo& info, bool is_vector, ResolvedWeight& weight) const {
        if (!info.format) {
            return fail(ErrorCode::unsupported, "{}: tensor type {} is not supported (supported: {})", info.name, info.gguf_type,
                        supported_formats(can_read_));
        }
        weight.format = is_vector ? Format::f32 : *info.format;
        if (!can_read_(weight.format)) {
            return fail(ErrorCode::unsupported, "{}: format {} is not supported on this device (supported: {})", info.name,
                        atlas::info(weight.format).name, supported_formats(can_read_));
        }
        const uint32_t block = atlas::info(*info.format).block_elems;
        if (weight.cols % block != 0) {
            return fail(ErrorCode::corrupt, "{}: rows of {} elements are no whole blocks of {} ({} each)", info.name, weight.cols,
                        atlas::info(*info.format).name, block);
        }
        return {};
    }

    Result<void> find_scale(const std::string& name, Scale use, ResolvedWeight& weight) {
        const gguf::TensorInfo* info = find(name.substr(0, name.rfind('.')) + ".scale");
        if (info == nullptr || file_ == nullptr) return {};
        used_.insert(info->name);
        if (use == Scale::unused) return {};
        if (info->format != Format::f32 || info->bytes != sizeof(float)) {
            return fail(ErrorCode::corrupt, "{}: expected one f32 number, found shape [{}] of type {}", info->name,
                        fmt::join(info->shape, ", "), info->gguf_type);
        }
        std::memcpy(&weight.scale, file_->data(*info).data(), sizeof(float));
        if (weight.scale != 1.0f && weight.source->format != Format::f32) {
            return fail(ErrorCode::unsupported, "{}: a scale beside {} weights is not supported (only beside f32)", info->name,
                        atlas::info(*weight.source->format).name);
        }
        return {};
    }

    std::span<const gguf::TensorInfo> tensors_;
    const gguf::File* file_;
    const ModelConfig& config_;
    const std::function<bool(Format)>& can_read_;
    std::vector<ResolvedWeight> resolved_;
    std::unordered_set<std::string_view> used_;
    std::unordered_map<std::string_view, const gguf::TensorInfo*> by_name_;
};

constexpr auto kCacheTurnSlots = std::to_array({&LayerWeights::cache_turn_k, &LayerWeights::cache_turn_k_shift, &LayerWeights::cache_turn_q,
                                                &LayerWeights::cache_turn_k_feedback, &LayerWeights::cache_turn_v, &LayerWeights::cache_turn_v_back,
                                                &LayerWeights::cache_turn_v_feedback});

// The matrices that turn keys and queries belong together, and kernels read them as f32.
Result<std::vector<ResolvedWeight>> with_whole_cache_turns(Result<std::vector<ResolvedWeight>> resolved, const ModelConfig& config) {
    if (!resolved) return resolved;
    std::vector<int> parts(config.n_layer, 0);
    for (const ResolvedWeight& weight : *resolved) {
        const auto slot = weight.layer_slot;
        if (std::find(kCacheTurnSlots.begin(), kCacheTurnSlots.end(), slot) == kCacheTurnSlots.end()) continue;
        ++parts[weight.layer];
        if (weight.format == Format::f32) continue;
        return fail(ErrorCode::unsupported, "{}: stored as {}, expected f32: write the file again with atlas-vk fit-cache", weight.source->name,
                    info(weight.format).name);
    }
    for (uint32_t il = 0; il < config.n_layer; ++il) {
        if (parts[il] == 0 || parts[il] == int(kCacheTurnSlots.size())) continue;
        return fail(ErrorCode::not_found, "layer {} has {} of its {} tensors cache_turn_*: expected all or none; write the file again with atlas-vk fit-cache",
                    il, parts[il], kCacheTurnSlots.size());
    }
    return resolved;
}

}  // namespace

Result<std::vector<ResolvedWeight>> resolve_weights(const gguf::File& file, const WeightTable& table, const ModelConfig& config,
                                                    const std::function<bool(Format)>& can_read) {
    return with_whole_cache_turns(Resolver(file.tensors(), &file, config, can_read).all(table), config);
}

Result<std::vector<ResolvedWeight>> resolve_tensors(std::span<const gguf::TensorInfo> tensors, const WeightTable& table,
                                                    const ModelConfig& config, const std::function<bool(Format)>& can_read) {
    return with_whole_cache_turns(Resolver(tensors, nullptr, config, can_read).all(table), config);
}

Weights assemble_weights(const ModelConfig& config, std::span<const ResolvedWeight> resolved,
                         const std::function<Tensor(const ResolvedWeight&)>& make) {
    Weights weights;
    weights.layers.resize(config.n_layer);
    for (const ResolvedWeight& weight : resolved) weight.slot(weights) = make(weight);
    if (!weights.output) weights.output = weights.token_embd;
    return weights;
}

uint64_t total_bytes(std::span<const ResolvedWeight> resolved) {
    uint64_t sum = 0;
    for (const ResolvedWeight& weight : resolved) sum += weight.bytes();
    return sum;
}

}  // namespace atlas
