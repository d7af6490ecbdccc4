#include "runtime/model/identity.h"

#include <algorithm>

namespace atlas {

void ModelIdentity::add_text(std::string_view text) {
    const std::string line = fmt::format("{}:{}\n", text.size(), text);  // lengths, so that two lines are never taken for one
    hash_.add(line.data(), line.size());
}

ModelIdentity::ModelIdentity(const ModelConfig& c) {
    add_text(fmt::format("{} layers {} embd {} heads {}/{} of {} ff {} vocab {} eps {:a} scale {:a}", c.architecture, c.n_layer, c.n_embd, c.n_head,
                         c.n_head_kv, c.head_dim, c.n_ff, c.n_vocab, c.rms_eps, c.attention_scale));
    const RopeParams& r = c.rope;
    add_text(fmt::format("rope {} {} {} {:a} {:a} {:a} {:a} {:a} {:a} {}", int(r.pairing), r.head_dim, r.n_rot, r.rope_theta, r.freq_scale, r.attn_factor,
                         r.ext_factor, r.beta_fast, r.beta_slow, r.n_ctx_orig));
}

void ModelIdentity::add(const ResolvedWeight& weight, std::span<const std::byte> content) {
    add_text(fmt::format("{} {} {} {}", weight.source->name, weight.source->gguf_type, weight.rows, weight.cols));
    const auto sample = content.first(std::min<size_t>(content.size(), kSampleBytes));
    hash_.add(sample.data(), sample.size());
}

}  // namespace atlas
