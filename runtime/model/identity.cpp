#include "runtime/model/identity.h"

#include <algorithm>

namespace atlas {

namespace {

std::string text_of(const RopeParams& r) {
    return fmt::format("rope {} {} {} {:a} {:a} {:a} {:a} {:a} {:a} {}", int(r.pairing), r.head_dim, r.n_rot,
                       r.rope_theta, r.freq_scale, r.attn_factor, r.ext_factor, r.beta_fast, r.beta_slow, r.n_ctx_orig);
}

std::string layer_text(const LayerConfig& l) {
    return fmt::format(
        "mixer {} heads {}/{} of {}/{} window {} ff {} experts {}/{} of {}/{} latent {}/{}/{} delta {}/{} of {} conv "
        "{} {}",
        int(l.mixer), l.n_head, l.n_head_kv, l.head_dim, l.v_head_dim, l.window, l.n_ff, l.experts.routing.n_used,
        l.experts.n, l.experts.n_ff, l.experts.n_ff_shared, l.latent.kv_rank, l.latent.q_rank, l.latent.rope_dim,
        l.delta_net.n_k_heads, l.delta_net.n_v_heads, l.delta_net.head_dim, l.delta_net.conv_width, text_of(l.rope));
}

std::string scales_text(const ModelConfig& c) {
    return fmt::format("norm {} activation {} softcap {:a} temperature {:a} {} scales {:a} {:a} {:a} {:a}", int(c.norm),
                       int(c.activation), c.attention_softcap, c.query_temperature.beta, c.query_temperature.n_ctx,
                       c.embedding_scale, c.residual_scale, c.logit_scale, c.logit_softcap);
}

std::string text_of(const ExpertsConfig& e) {
    const RoutingParams& r = e.routing;
    return fmt::format("experts {} of {} gating {} groups {} of {} normalized {} scale {:a}", r.n_used, e.n,
                       int(r.gating), r.n_groups_used, r.n_groups, r.normalized, r.scale);
}

}  // namespace

void ModelIdentity::add_text(std::string_view text) {
    const std::string line =
        fmt::format("{}:{}\n", text.size(), text);  // lengths, so that two lines are never taken for one
    hash_.add(line.data(), line.size());
}

ModelIdentity::ModelIdentity(const ModelConfig& c) {
    const LayerConfig& first = c.layers.front();
    add_text(fmt::format("{} layers {} embd {} heads {}/{} of {} ff {} vocab {} eps {:a} scale {:a}", c.architecture,
                         c.n_layer(), c.n_embd, first.n_head, first.n_head_kv, first.head_dim, first.n_ff, c.n_vocab,
                         c.norm_eps, c.attention_scale));
    add_text(text_of(first.rope));
    // Which layers have experts is in their texts below.
    const auto experts =
        std::find_if(c.layers.begin(), c.layers.end(), [](const LayerConfig& l) { return l.experts.n > 0; });
    if (experts != c.layers.end()) add_text(text_of(experts->experts));
    if (const std::string scales = scales_text(c); scales != scales_text({})) add_text(scales);
    // A layer enters the hash only where it differs from the first, so that snapshots saved when all layers had to be
    // equal stay valid.
    for (const LayerConfig& layer : c.layers) {
        if (layer_text(layer) != layer_text(first)) add_text(layer_text(layer));
    }
}

void ModelIdentity::add(const ResolvedWeight& weight, std::span<const std::byte> content) {
    add_text(fmt::format("{} {} {} {}", weight.source->name, weight.source->gguf_type, weight.rows, weight.cols));
    const auto sample = content.first(std::min<size_t>(content.size(), kSampleBytes));
    hash_.add(sample.data(), sample.size());
}

}  // namespace atlas
