#include "runtime/model/dense_decoder.h"

#include <algorithm>

#include "runtime/model/decoder_parts.h"
#include "runtime/model/limits.h"

namespace atlas {

namespace {

Result<ModelConfig> within_window(const KeySource& source, Result<ModelConfig> config) {
    if (!config) return config;
    ATLAS_TRY(const uint32_t window, KeyReader(source).count_or("attention.sliding_window", {0, kMaxContext}, 0));
    if (window > 0) config->n_ctx_train = std::min(config->n_ctx_train, window);
    return config;
}

}  // namespace

Result<ModelConfig> read_dense_decoder(const KeySource& source, RopeParams::Pairing pairing) {
    return within_window(source, read_decoder_config(source, runs(pairing)));
}

Result<ModelConfig> read_expert_decoder(const KeySource& source, const DecoderTraits& traits) {
    DecoderTraits runnable = traits;
    runnable.runs = true;
    return within_window(source, read_expert_decoder_config(source, runnable));
}

void forward_dense_decoder(const ForwardInputs& in, Ops& ops) { forward_decoder(in, ops, {}); }

void forward_decoder_with_post_norms(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.mixer_post_norm = kAttnPostNorm, .feed_forward_post_norm = kFfnPostNorm});
}

}  // namespace atlas
