#include "runtime/planner/cache_loss.h"

#include <algorithm>
#include <limits>
#include <set>

#include "quant/codec.h"
#include "runtime/base/in_quotes.h"
#include "runtime/model/common_weights.h"
#include "runtime/model/file_plan.h"
#include "runtime/model/key_shift.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::infinity();

double bias_left(const gguf::TensorInfo& tensor, const gguf::File& file, const LayerConfig& layer,
                 uint32_t n_ctx_train) {
    const uint32_t width = layer.k_width();
    if (!tensor.format || tensor.shape != std::vector<uint64_t>{width} || width % info(*tensor.format).block_elems != 0)
        return kUnknown;
    std::vector<float> bias(width);
    dequantize_row(*tensor.format, file.data_alone(tensor), bias);
    return key_bias_left(bias, layer.rope, n_ctx_train);
}

// The rows that hold for one measured model: its own, and those of every model.
class Rows {
  public:
    Rows(const Catalogue& catalogue, double key_bias_left, bool fitted)
        : catalogue_(catalogue), key_bias_left_(key_bias_left), fitted_(fitted) {}

    const KvLoss* pair(const KvFormats& kv) const {
        const KvLoss* fitted = fitted_ ? find(kv, true) : nullptr;
        return fitted != nullptr ? fitted : find(kv, false);
    }

    // Keys or values alone; kKvFormats is ordered from the most exact on. Keys cause nearly all of a pair's loss, so a
    // pair stands in for them.
    const KvLoss* half(const KvFormats& kv, bool keys) const {
        for (const auto* at = std::find(kKvFormats.begin(), kKvFormats.end(), keys ? kv.k : kv.v);
             at != kKvFormats.end(); ++at) {
            KvFormats alone = keys ? KvFormats(*at, Format::f16) : KvFormats(Format::f16, *at);
            alone.rotate_k = keys && kv.rotate_k;
            alone.rotate_v = !keys && kv.rotate_v;
            if (const KvLoss* half = pair(alone)) return half;
            KvFormats both = *at;
            both.rotate_k = kv.rotate_k;
            for (const bool rotate_v : {false, true}) {
                both.rotate_v = rotate_v;
                if (const KvLoss* found = keys ? pair(both) : nullptr) return found;
            }
        }
        return nullptr;
    }

  private:
    // A user's own rows come last.
    const KvLoss* find(const KvFormats& kv, bool fitted) const {
        for (auto row = catalogue_.kv_loss.rbegin(); row != catalogue_.kv_loss.rend(); ++row) {
            if (row->k == info(kv.k).name && row->v == info(kv.v).name && row->rotate_k == kv.rotate_k &&
                row->rotate_v == kv.rotate_v && row->fitted == fitted &&
                row->key_bias_left.value_or(key_bias_left_) == key_bias_left_) {
                return &*row;
            }
        }
        return nullptr;
    }

    const Catalogue& catalogue_;
    double key_bias_left_;
    bool fitted_;
};

// The measured models, by how hard their keys are to round.
struct Measured {
    std::vector<double> harder;  // or as hard: easiest first; for a model harder than all, the hardest
    std::vector<double> easier;  // hardest first
    bool all_are_easier = false;
};

Measured measured_around(const Catalogue& catalogue, double key_bias_left) {
    std::set<double> all{0};
    for (const KvLoss& row : catalogue.kv_loss) {
        if (row.key_bias_left) all.insert(*row.key_bias_left);
    }
    auto first = all.lower_bound(key_bias_left);
    const bool all_are_easier = first == all.end();
    if (all_are_easier) --first;
    Measured measured{{first, all.end()}, {all.begin(), first}, all_are_easier};
    std::reverse(measured.easier.begin(), measured.easier.end());
    return measured;
}

bool is_float(Format format) { return format == Format::f32 || format == Format::f16; }

}  // namespace

CacheTraits cache_traits(const ModelShape& model) { return {model.fitted_cache, model.key_bias_left}; }

CacheTraits cache_traits(const gguf::File& file) {
    CacheTraits traits{file.find_tensor(fmt::format("blk.0.{}", kRotateK.name)) != nullptr, 0};
    if (find_architecture(file)) {
        const auto found = resolve_file(file);
        for (const ResolvedWeight& weight : found ? found->weights : std::vector<ResolvedWeight>()) {
            if (!(weight.id == kAttnKBias)) continue;
            const ModelConfig& config = found->config;
            traits.key_bias_left =
                std::max(traits.key_bias_left,
                         bias_left(*weight.source, file, config.layers[*weight.layer], config.n_ctx_train));
        }
        return traits;
    }
    const bool has_bias = std::any_of(file.tensors().begin(), file.tensors().end(), [](const gguf::TensorInfo& tensor) {
        return tensor.name.ends_with(kAttnKBias.name) || tensor.name.ends_with("attn_qkv.bias");
    });
    if (has_bias) traits.key_bias_left = kUnknown;
    return traits;
}

KvCost kv_cost_of(const Catalogue& catalogue, const KvFormats& kv, const CacheTraits& traits) {
    const Measured measured = measured_around(catalogue, traits.key_bias_left);
    const auto rows = [&](double key_bias_left) { return Rows(catalogue, key_bias_left, traits.fitted); };
    // Values differ little between models.
    const auto values_of = [&](double key_bias_left) {
        const KvLoss* found = rows(key_bias_left).half(kv, false);
        for (size_t i = 0; i < measured.easier.size() && found == nullptr; ++i)
            found = rows(measured.easier[i]).half(kv, false);
        return found;
    };
    KvCost cost;
    if (is_float(kv.k) && is_float(kv.v)) {
        cost.measured = true;
        return cost;
    }
    for (const double key_bias_left : measured.harder) {
        if (const KvLoss* both = rows(key_bias_left).pair(kv)) {
            return {both->perplexity_share, both->source, measured.all_are_easier, both->fitted == traits.fitted};
        }
        const KvLoss* keys = is_float(kv.k) ? nullptr : rows(key_bias_left).half(kv, true);
        const KvLoss* values = is_float(kv.v) ? nullptr : values_of(key_bias_left);
        cost = {0, "", measured.all_are_easier, false};
        for (const KvLoss* half : {keys, values}) {
            if (half == nullptr) continue;
            cost.perplexity_share += half->perplexity_share;
            if (half->perplexity_share > 0 || cost.source.empty()) cost.source = half->source;
        }
        if ((keys != nullptr || is_float(kv.k)) && (values != nullptr || is_float(kv.v))) break;
    }
    return cost;
}

std::vector<KvFormats> smaller_caches(const Catalogue& catalogue, const CacheTraits& traits) {
    const auto is_harmless = [&](const KvFormats& kv) { return !is_hurtful(kv_cost_of(catalogue, kv, traits)); };
    std::vector<KvFormats> caches;
    const KvFormats eights = with_default_rotation(Format::q8_0);
    if (is_harmless(eights)) caches.push_back(eights);
    for (const KvFormats& kv :
         {with_default_rotation(Format::q4_0), with_default_rotation({Format::q8_0, Format::q4_0})}) {
        if (!is_harmless(kv)) continue;
        caches.push_back(kv);
        break;
    }
    return caches;
}

std::string warning_of(const Catalogue& catalogue, const KvFormats& kv, const CacheTraits& traits) {
    const KvCost cost = kv_cost_of(catalogue, kv, traits);
    if (!is_hurtful(cost)) return "";
    const auto percent = [](double share) { return fmt::format("{:.{}f} %", 100 * share, share < 0.1 ? 1 : 0); };
    const bool is_default = kv == with_default_rotation(kv);
    std::string text = fmt::format(
        "a {} cache{} is {} to hurt models with keys like this one's: {}{} more perplexity ({}{}).", name_of(kv),
        is_default ? "" : " with this --kv-rotation", cost.measured ? "known" : "likely",
        !cost.measured  ? "about "
        : cost.is_least ? "at least "
                        : "",
        percent(cost.perplexity_share), cost.measured ? "" : "estimated from ", printable(cost.source, 120));
    std::string instead;
    for (const KvFormats& smaller : smaller_caches(catalogue, traits)) {
        const KvCost its = kv_cost_of(catalogue, smaller, traits);
        instead +=
            fmt::format("{}--kv {}{}", instead.empty() ? " Better: " : ", ", name_of(smaller),
                        its.measured && !its.is_least ? fmt::format(" ({})", percent(its.perplexity_share)) : "");
    }
    text += instead;
    const KvCost fitted = kv_cost_of(catalogue, with_default_rotation(kv), {true, traits.key_bias_left});
    if (!traits.fitted && fitted.measured && !is_hurtful(fitted)) {
        text += fmt::format("{}the file that atlas-vk fit-cache writes{}", instead.empty() ? " Better: " : ", or ",
                            fitted.is_least ? "" : fmt::format(" ({})", percent(fitted.perplexity_share)));
    }
    return text;
}

}  // namespace atlas
