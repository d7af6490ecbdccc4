// gpt-oss: biases everywhere, attention sinks, a window in every other layer, experts in MXFP4 with a clamped SwiGLU.

#include <array>

#include "runtime/model/decoder_config.h"
#include "runtime/model/expert_parts.h"
#include "runtime/model/limits.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_gpt_oss(const KeySource& source) {
    const KeyReader keys(source);
    DecoderTraits traits = runs(RopeParams::Pairing::halves);
    traits.experts = {.gating = RoutingParams::Gating::softmax_of_used, .has_shared = false};
    ATLAS_TRY(ModelConfig config, read_expert_decoder_config(source, traits));
    config.activation = Activation::silu_clamped;
    ATLAS_TRY_VOID(keys.count("attention.sliding_window", {1, kMaxContext}).map([](uint32_t) {}));
    ATLAS_TRY_VOID(read_windows(keys, 2, config));
    const float theta = config.layers.front().rope.rope_theta;
    ATLAS_TRY(const float window_theta, keys.number_or("rope.freq_base_swa", 1.0001f, 1e12f, theta));
    for (LayerConfig& layer : config.layers) layer.rope.rope_theta = layer.window > 0 ? window_theta : theta;
    return config;
}

WeightRules layer_weights(M, L layer) {
    constexpr auto kUpBias = [](M, L l) { return Dims{l.experts.n, l.experts.n_ff}; };
    constexpr auto kDownBias = [](M m, L l) { return Dims{l.experts.n, m.n_embd}; };
    return join_rules(
        {attention_weights(Need::required, Need::required),
         {{kAttnSinks, Need::required, [](M, L l) { return Dims{l.n_head}; }}, norm_weight(kAttnPostNorm)},
         expert_weights(layer),
         {{kFfnGateInpBias, Need::required, [](M, L l) { return Dims{l.experts.n}; }},
          {kFfnGateExpsBias, Need::required, kUpBias},
          {kFfnUpExpsBias, Need::required, kUpBias},
          {kFfnDownExpsBias, Need::required, kDownBias}}});
}

constexpr auto kIgnorable = std::to_array<std::string_view>({"_exps.scale", "ffn_gate_inp.scale"});

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.feed_forward = expert_feed_forward, .feed_forward_norm = {kAttnPostNorm}});
}

}  // namespace

extern const Architecture kGptOss;
const Architecture kGptOss = {"gpt-oss", read_gpt_oss, model_weights, layer_weights, kIgnorable, forward};

}  // namespace atlas
