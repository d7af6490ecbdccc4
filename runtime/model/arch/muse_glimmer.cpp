// muse-glimmer: Muse Glimmer 30B. Norms of embeddings and heads, before and after each block; a gate for what attention
// gives; a window in three of four layers, and rope only there; scaled and capped logits.

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"
#include "runtime/model/registry.h"

namespace atlas {

namespace {

using M = const ModelConfig&;
using L = const LayerConfig&;

Result<ModelConfig> read_muse_glimmer(const KeySource& source) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs(RopeParams::Pairing::adjacent)));
    ATLAS_TRY(const uint32_t window, keys.count("attention.sliding_window", {1}));
    ATLAS_TRY_VOID(read_windows(keys, 4, config, window));
    ATLAS_TRY_VOID(read_window_ropes(keys, config.layers[0].rope.rope_theta, config));
    remove_ropes(config, [](uint32_t, L layer) { return layer.window == 0; });
    ATLAS_TRY(config.logit_scale, keys.number("logit_scale", -1e6f, 1e6f));
    ATLAS_TRY(config.logit_softcap, keys.number_or("final_logit_softcapping", 0, 1e6f, 30));
    return config;
}

WeightRules layer_weights(M, L) {
    return join_rules({attention_weights(),
                       head_norm_weights(),
                       {{kAttnGate, Need::required,
                         [](M m, L l) {
                             return Dims{l.q_width(), m.n_embd};
                         }},
                        norm_weight(kAttnPostNorm),
                        norm_weight(kFfnNorm),
                        norm_weight(kFfnPostNorm)},
                       gated_feed_forward_weights(Scale::unused)});
}

void embed(const ForwardInputs& in, const Tensor& x, Ops& ops) {
    embed_tokens(in, x, ops);
    ops.rms_norm(x, {}, in.config.norm_eps, x);
}

void forward(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops,
                    {.mixer = [](const Layer& layer, const Tensor& h, const Tensor& out,
                                 Ops& recorder) { gated_self_attention(layer, Activation::sigmoid, h, out, recorder); },
                     .mixer_post_norm = kAttnPostNorm,
                     .feed_forward_post_norm = kFfnPostNorm,
                     .post_norm_eps = 1e-8f,
                     .embed = embed});
}

}  // namespace

extern const Architecture kMuseGlimmer;
const Architecture kMuseGlimmer = {"muse-glimmer", read_muse_glimmer, model_weights, layer_weights, {}, forward};

}  // namespace atlas
