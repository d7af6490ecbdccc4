#include "runtime/model/dense_decoder.h"

#include <algorithm>

#include "runtime/model/decoder_parts.h"
#include "runtime/model/limits.h"

namespace atlas {

Result<ModelConfig> read_dense_decoder(const KeySource& source, RopeParams::Pairing pairing) {
    const KeyReader keys(source);
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, runs(pairing)));
    ATLAS_TRY(const uint32_t window, keys.count_or("attention.sliding_window", {0, kMaxContext}, 0));
    if (window > 0) config.n_ctx_train = std::min(config.n_ctx_train, window);
    return config;
}

void forward_dense_decoder(const ForwardInputs& in, Ops& ops) { forward_decoder(in, ops, {}); }

void forward_decoder_with_post_norms(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.mixer_post_norm = kAttnPostNorm, .feed_forward_post_norm = kFfnPostNorm});
}

}  // namespace atlas
