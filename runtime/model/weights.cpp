#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "runtime/model/common_weights.h"

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

// Tensors that a file may carry and that change nothing: rotary tables of old converters, scales of quantized
// activations (they only steer 4-bit activation kernels).
constexpr auto kIgnorable =
    std::to_array<std::string_view>({".input_scale", ".attn_rot_embd", ".rotary_emb.inv_freq", "rope.freqs"});

bool ends_with_any(std::string_view name, std::span<const std::string_view> endings) {
    return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

// Of "blk.7.attn_q.weight" 7.
std::optional<uint32_t> layer_of(std::string_view name) {
    constexpr std::string_view kStart = "blk.";
    if (!name.starts_with(kStart)) return std::nullopt;
    uint32_t layer = 0;
    const auto [end, error] = std::from_chars(name.data() + kStart.size(), name.data() + name.size(), layer);
    return error == std::errc() ? std::optional(layer) : std::nullopt;
}

// The rules that `fused` holds, each tensor once.
std::vector<const WeightRule*> parts_of(std::span<const WeightRule> rules, std::string_view fused) {
    std::vector<const WeightRule*> parts;
    for (const WeightRule& rule : rules) {
        const bool is_there = std::any_of(parts.begin(), parts.end(),
                                          [&](const WeightRule* part) { return part->tensor() == rule.tensor(); });
        if (rule.fused_as == fused && !is_there) parts.push_back(&rule);
    }
    return parts;
}

Dims fused_dims(std::span<const WeightRule> rules, std::string_view fused, const ModelConfig& model,
                const LayerConfig& layer) {
    uint64_t rows = 0;
    const auto parts = parts_of(rules, fused);
    for (const WeightRule* part : parts) rows += part->dims(model, layer).sides[0];
    Dims dims = parts.front()->dims(model, layer);
    dims.sides[0] = rows;
    return dims;
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
        ignorable_ = table.ignorable;
        ATLAS_CHECK_EQ(table.layers.size(), config_.layers.size());
        for (uint32_t i = 0; i < table.model.size(); ++i) {
            ATLAS_TRY_VOID(add(table.model, i, "", std::nullopt));
        }
        for (uint32_t layer = 0; layer < table.layers.size(); ++layer) {
            const std::string prefix = fmt::format("blk.{}.", layer);
            for (uint32_t i = 0; i < table.layers[layer].size(); ++i)
                ATLAS_TRY_VOID(add(table.layers[layer], i, prefix, layer));
        }
        return std::move(*this).finish();
    }

  private:
    const gguf::TensorInfo* find(std::string_view name) const {
        const auto found = by_name_.find(name);
        return found == by_name_.end() ? nullptr : found->second;
    }

    Result<void> add(const WeightRules& rules, uint32_t index, const std::string& prefix,
                     std::optional<uint32_t> layer) {
        const WeightRule& rule = rules[index];
        const LayerConfig& of_layer = config_.layers[layer.value_or(0)];
        const bool fused = is_fused(rules, rule, prefix);
        const std::string name = prefix + std::string(fused ? rule.fused_as : rule.tensor());
        const gguf::TensorInfo* info = find(name);
        if (info == nullptr) {
            if (rule.need != Need::required) return {};
            if (!rule.instead.name.empty() && find(prefix + std::string(rule.instead.name)) != nullptr) return {};
            return fail(ErrorCode::not_found, "{}: the file has no such tensor, and {} needs it", name,
                        config_.architecture);
        }
        used_.insert(info->name);
        Dims dims = rule.dims(config_, of_layer);
        if (rule.or_dims != nullptr && !has_shape(*info, dims) && has_shape(*info, rule.or_dims(config_, of_layer)))
            dims = rule.or_dims(config_, of_layer);
        ResolvedWeight weight;
        weight.source = info;
        weight.id = rule.id;
        weight.layer = layer;
        weight.rule = index;
        weight.rows = static_cast<uint32_t>(dims.rows());
        weight.cols = static_cast<uint32_t>(dims.cols());
        weight.content = rule.content;
        weight.together = rule.together;
        ATLAS_TRY_VOID(check_shape(*info, fused ? fused_dims(rules, rule.fused_as, config_, of_layer) : dims));
        ATLAS_TRY_VOID(check_format(*info, dims.is_vector() || rule.decoded, weight));
        if (fused && dims.is_vector() && atlas::info(*info->format).block_elems > 1)
            return fail(ErrorCode::unsupported, "{}: a vector of several in blocks of {}", name,
                        atlas::info(*info->format).name);
        if (fused) cut_part(first_row(rules, rule, of_layer), dims, weight);
        if (rule.scale != Scale::refused) ATLAS_TRY_VOID(find_scale(name, rule.scale, weight));
        resolved_.push_back(std::move(weight));
        return {};
    }

    bool is_fused(const WeightRules& rules, const WeightRule& rule, const std::string& prefix) const {
        if (rule.fused_as.empty() || find(prefix + std::string(rule.fused_as)) == nullptr) return false;
        const auto first = std::find_if(rules.begin(), rules.end(),
                                        [&](const WeightRule& other) { return other.fused_as == rule.fused_as; });
        return find(prefix + std::string(first->tensor())) == nullptr;
    }

    uint64_t first_row(const WeightRules& rules, const WeightRule& rule, const LayerConfig& layer) const {
        uint64_t row = 0;
        for (const WeightRule* other : parts_of(rules, rule.fused_as)) {
            if (other->tensor() == rule.tensor()) break;
            row += other->dims(config_, layer).sides[0];
        }
        return row;
    }

    // Rows lie one after the other, so a part of them is a tensor, too.
    static void cut_part(uint64_t first, const Dims& dims, ResolvedWeight& weight) {
        auto part = std::make_shared<gguf::TensorInfo>(*weight.source);
        const uint64_t cols = dims.is_vector() ? 1 : dims.cols();
        part->shape.assign(dims.span().begin(), dims.span().end());
        part->offset_bytes += bytes_of(*part->format, first * cols);
        part->bytes = bytes_of(*part->format, dims.sides[0] * cols);
        weight.part = part;
        weight.source = weight.part.get();
    }

    Result<std::vector<ResolvedWeight>> finish() && {
        for (const gguf::TensorInfo& info : tensors_) {
            if (used_.contains(info.name) || ends_with_any(info.name, kIgnorable) ||
                ends_with_any(info.name, ignorable_))
                continue;
            if (const auto layer = layer_of(info.name); layer && *layer >= config_.n_layer()) {
                if (*layer < config_.n_layer() + config_.n_draft_layers) continue;
                return fail(ErrorCode::corrupt, "{}: a tensor of layer {}, but {}.block_count says {} layers",
                            info.name, *layer, config_.architecture, config_.n_layer());
            }
            return fail(ErrorCode::unsupported,
                        "{}: architecture {} as it is known here has no such tensor (of {} layers); without it the "
                        "model would compute "
                        "something else",
                        info.name, config_.architecture, config_.n_layer());
        }
        return std::move(resolved_);
    }

    static bool has_shape(const gguf::TensorInfo& info, const Dims& dims) {
        std::vector<uint64_t> found = info.shape;
        while (found.size() > dims.n && found.front() == 1) found.erase(found.begin());
        return std::equal(found.begin(), found.end(), dims.span().begin(), dims.span().end());
    }

    static Result<void> check_shape(const gguf::TensorInfo& info, const Dims& dims) {
        if (has_shape(info, dims)) return {};
        return fail(ErrorCode::corrupt, "{}: expected shape [{}], found [{}] (outermost first)", info.name,
                    fmt::join(dims.span(), ", "), fmt::join(info.shape, ", "));
    }

    Result<void> check_format(const gguf::TensorInfo& info, bool decoded, ResolvedWeight& weight) const {
        if (!info.format) {
            return fail(ErrorCode::unsupported, "{}: tensor type {} is not supported (supported: {})", info.name,
                        info.gguf_type, supported_formats(can_read_));
        }
        weight.format = decoded ? Format::f32 : *info.format;
        if (!can_read_(weight.format)) {
            return fail(ErrorCode::unsupported, "{}: format {} is not supported on this device (supported: {})",
                        info.name, atlas::info(weight.format).name, supported_formats(can_read_));
        }
        const uint32_t block = atlas::info(*info.format).block_elems;
        if (weight.cols % block != 0) {
            return fail(ErrorCode::corrupt, "{}: rows of {} elements are not whole blocks of {} ({} each)", info.name,
                        weight.cols, atlas::info(*info.format).name, block);
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
            return fail(ErrorCode::unsupported, "{}: a scale beside {} weights is not supported (only beside f32)",
                        info->name, atlas::info(*weight.source->format).name);
        }
        return {};
    }

    std::span<const gguf::TensorInfo> tensors_;
    const gguf::File* file_;
    const ModelConfig& config_;
    const std::function<bool(Format)>& can_read_;
    std::span<const std::string_view> ignorable_;
    std::vector<ResolvedWeight> resolved_;
    std::unordered_set<std::string_view> used_;
    std::unordered_map<std::string_view, const gguf::TensorInfo*> by_name_;
};

constexpr auto kCacheRotations = std::to_array<WeightId>(
    {kRotateK, kRotateKShift, kRotateQ, kRotateKFeedback, kRotateV, kRotateVBack, kRotateVFeedback});

// The fitted rotations of a layer's keys and queries must be complete, and kernels read them as f32.
Result<std::vector<ResolvedWeight>> with_whole_cache_rotations(Result<std::vector<ResolvedWeight>> resolved,
                                                               const ModelConfig& config) {
    if (!resolved) return resolved;
    std::vector<size_t> parts(config.n_layer(), 0);
    for (const ResolvedWeight& weight : *resolved) {
        if (!weight.layer ||
            std::find(kCacheRotations.begin(), kCacheRotations.end(), weight.id) == kCacheRotations.end())
            continue;
        ++parts[*weight.layer];
        if (weight.format == Format::f32) continue;
        return fail(ErrorCode::unsupported,
                    "{}: stored as {}, expected f32: write the file again with atlas-vk fit-cache", weight.source->name,
                    info(weight.format).name);
    }
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        if (parts[il] == 0 || parts[il] == kCacheRotations.size()) continue;
        return fail(ErrorCode::not_found,
                    "layer {} has {} of its {} tensors cache_turn_*: expected all or none; write the file again with "
                    "atlas-vk fit-cache",
                    il, parts[il], kCacheRotations.size());
    }
    return resolved;
}

}  // namespace

Result<std::vector<ResolvedWeight>> resolve_weights(const gguf::File& file, const WeightTable& table,
                                                    const ModelConfig& config,
                                                    const std::function<bool(Format)>& can_read) {
    return with_whole_cache_rotations(Resolver(file.tensors(), &file, config, can_read).all(table), config);
}

Result<std::vector<ResolvedWeight>> resolve_tensors(std::span<const gguf::TensorInfo> tensors, const WeightTable& table,
                                                    const ModelConfig& config,
                                                    const std::function<bool(Format)>& can_read) {
    return with_whole_cache_rotations(Resolver(tensors, nullptr, config, can_read).all(table), config);
}

Weights assemble_weights(const ModelConfig& config, std::span<const ResolvedWeight> resolved,
                         const std::function<Tensor(const ResolvedWeight&)>& make) {
    Weights weights(config.n_layer());
    for (const ResolvedWeight& weight : resolved) {
        if (weight.layer)
            weights.set(*weight.layer, weight.id, make(weight));
        else
            weights.set(weight.id, make(weight));
    }
    if (!weights[kOutput]) weights.set(kOutput, weights[kTokenEmbd]);
    return weights;
}

WeightRules join_rules(std::initializer_list<WeightRules> lists) {
    WeightRules all;
    for (const WeightRules& list : lists) all.insert(all.end(), list.begin(), list.end());
    return all;
}

WeightRules usually_fused(WeightRules rules) {
    for (WeightRule& rule : rules) rule.usually_fused = !rule.fused_as.empty();
    return rules;
}

std::vector<StoredTensor> stored_tensors(std::span<const WeightRule> rules, const ModelConfig& model,
                                         const LayerConfig& layer) {
    std::vector<StoredTensor> tensors;
    for (const WeightRule& rule : rules) {
        if (!rule.usually_fused) {
            tensors.push_back({std::string(rule.tensor()), rule.dims(model, layer), &rule});
        } else if (parts_of(rules, rule.fused_as).front() == &rule) {
            tensors.push_back({std::string(rule.fused_as), fused_dims(rules, rule.fused_as, model, layer), &rule});
        }
    }
    return tensors;
}

const Tensor& Weights::find(const Entries& entries, WeightId id) {
    static const Tensor kNone;
    const auto at = std::lower_bound(entries.begin(), entries.end(), id.hash,
                                     [](const Entry& entry, uint64_t hash) { return entry.id.hash < hash; });
    return at != entries.end() && at->id == id ? at->tensor : kNone;
}

void Weights::put(Entries& entries, WeightId id, const Tensor& tensor) {
    const auto at = std::lower_bound(entries.begin(), entries.end(), id.hash,
                                     [](const Entry& entry, uint64_t hash) { return entry.id.hash < hash; });
    if (at == entries.end() || !(at->id == id)) {
        entries.insert(at, {id, tensor});
        return;
    }
    ATLAS_CHECK_EQ(at->id.name, id.name);  // two names with one hash
    at->tensor = tensor;
}

void Weights::for_each(const std::function<void(WeightId, const Tensor&)>& take) const {
    for (const Entries& layer : layers_) {
        for (const Entry& entry : layer) take(entry.id, entry.tensor);
    }
    for (const Entry& entry : model_) take(entry.id, entry.tensor);
}

uint64_t total_bytes(std::span<const ResolvedWeight> resolved) {
    uint64_t sum = 0;
    for (const ResolvedWeight& weight : resolved) sum += weight.bytes();
    return sum;
}

}  // namespace atlas
