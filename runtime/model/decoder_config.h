#pragma once
// Reading the keys that decoders share. An architecture's read_config calls one of these and then sets what differs.

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/model/config.h"
#include "runtime/model/key_source.h"

namespace atlas {

struct KeyRange {
    uint32_t low = 0;
    uint32_t high = UINT32_MAX;
};

/// Numbers within bounds. Every message names key, expected and found.
class KeyReader {
  public:
    explicit KeyReader(const KeySource& keys) : keys_(keys) {}

    std::string full(std::string_view key) const { return keys_.full(key); }
    bool has(std::string_view key) const { return keys_.has(key); }

    /// One number for all layers; an array counts as one number if all its numbers agree. Fails: not_found, corrupt,
    /// unsupported (they differ).
    Result<uint32_t> count(std::string_view key, KeyRange range) const;
    Result<uint32_t> count_or(std::string_view key, KeyRange range, uint32_t fallback) const;
    /// [n_layer]: an array's numbers, or one number for all. Fails: not_found, corrupt (also: an array that is
    /// shorter).
    Result<std::vector<uint32_t>> per_layer(std::string_view key, uint32_t n_layer, KeyRange range) const;
    /// Whether the key has more than one number. Fails: not_found, corrupt.
    Result<bool> is_list(std::string_view key) const;
    Result<float> number(std::string_view key, float low, float high) const;
    Result<float> number_or(std::string_view key, float low, float high, float fallback) const;
    bool flag_or(std::string_view key, bool fallback) const { return keys_.flag_or(key, fallback); }
    Result<std::string> text_or(std::string_view key, std::string_view fallback) const;

  private:
    const KeySource& keys_;
};

/// What an architecture knows of its experts, and which of their keys it reads.
struct ExpertTraits {
    RoutingParams::Gating gating = RoutingParams::Gating::softmax;
    bool normalized = false;
    bool reads_gating = false;  // expert_gating_func, else `gating`
    bool reads_norm = false;    // expert_weights_norm, else `normalized`
    bool reads_scale = false;   // expert_weights_scale
    // expert_feed_forward_length, without it feed_forward_length / n_used; else all are as wide as feed_forward_length
    bool own_width = true;
    bool per_layer = false;  // widths and expert_used_count may be one per layer: the architecture reads them
    bool has_shared = true;  // expert_shared_feed_forward_length, or expert_shared_count of the width of one
};

/// Facts of an architecture that no key holds.
struct DecoderTraits {
    DecoderTraits(RopeParams::Pairing rope) : pairing(rope) {}  // NOLINT: most decoders differ only in this
    RopeParams::Pairing pairing;
    std::string_view norm_eps_key = "attention.layer_norm_rms_epsilon";
    Norm norm = Norm::rms;
    bool runs = false;               // refuse what no kernel of this build can compute
    bool latent = false;             // the sizes of heads are checked by the architecture
    bool layers_differ = false;      // heads and feed-forward widths may be one per layer
    bool attention_in_some = false;  // layers with attention.head_count_kv or feed_forward_length 0 have none
    bool yarn_keys = false;  // reads rope.scaling.yarn_*; other architectures have the defaults whatever the file says
    ExpertTraits experts = {};
};

/// Of an architecture that this build runs.
inline DecoderTraits runs(RopeParams::Pairing pairing) {
    DecoderTraits traits = pairing;
    traits.runs = true;
    return traits;
}
/// The same with layer norms.
inline DecoderTraits runs_with_layer_norms(RopeParams::Pairing pairing) {
    DecoderTraits traits = runs(pairing);
    traits.norm = Norm::layer;
    traits.norm_eps_key = "attention.layer_norm_epsilon";
    return traits;
}

/// A decoder whose layers are equal: sizes, heads, rope with its scaling, norms.
/// Fails: not_found (a required key), corrupt (a value out of its bounds), unsupported (layers that differ, an unknown
/// rope scaling, an embedding model, sizes that no kernel has).
Result<ModelConfig> read_decoder_config(const KeySource& keys, const DecoderTraits& traits);

/// The same with a feed-forward block of experts in all layers but the first leading_dense_block_count; without the key
/// expert_count it is dense.
Result<ModelConfig> read_expert_decoder_config(const KeySource& keys, const DecoderTraits& traits);

/// Whether the kernels of this build compute attention with the layer's heads. Fails: unsupported.
Result<void> check_heads(const KeyReader& keys, const LayerConfig& layer);

/// Takes the layers that only draft, those of the key nextn_predict_layers, from the end of the model's. Fails:
/// corrupt.
Result<void> split_draft_layers(const KeyReader& keys, ModelConfig& config);

/// The experts as the keys expert_* describe them; none without expert_count.
/// Fails: not_found (a width), corrupt, unsupported (an unknown gating).
Result<ExpertsConfig> read_experts(const KeyReader& keys, const ExpertTraits& traits);

enum class FullLayer { first, last };  // of a period

/// Gives layers the window of the key attention.sliding_window, or without it `default_window`: all but every n-th, n
/// being the number attention.sliding_window_pattern or `default_period`; where the key has a flag per layer, those
/// that it names.
/// Fails: corrupt.
Result<void> read_windows(const KeyReader& keys, uint32_t default_period, ModelConfig& config,
                          uint32_t default_window = 0, FullLayer full = FullLayer::last);

/// Leaves the rope of layers with a window unscaled; their base becomes the key rope.freq_base_swa, or without it
/// `default_base`. Fails: corrupt.
Result<void> read_window_ropes(const KeyReader& keys, float default_base, ModelConfig& config);
/// Takes the rope from the layers that `has_none` names.
void remove_ropes(ModelConfig& config, bool (*has_none)(uint32_t il, const LayerConfig& layer));

}  // namespace atlas
