#pragma once
// What Qwen3-Next and the models after it share: most layers have a gated delta net, the others attention with an
// output gate.

#include "runtime/model/decoder_config.h"
#include "runtime/model/decoder_parts.h"

namespace atlas {

/// Makes the layers of `config` that the keys say are recurrent ones of a gated delta net, and takes the drafting
/// blocks off its end. grouped: as DeltaNetParams. Fails: not_found, corrupt, unsupported (heads that no kernel takes).
Result<void> read_delta_net_layers(const KeySource& keys, ModelConfig& config, bool grouped = false);

/// The rules of gated_mixer, with the feed-forward block's norm. In attn_q the rows of a head's output gate follow
/// those of its queries.
WeightRules gated_mixer_weights(const LayerConfig& layer);

/// The same of a family whose files have beta and alpha in one tensor (ssm_ba), the rows of a key head together; in
/// older ones queries, keys, values and gate, too (ssm_in).
WeightRules by_key_head(WeightRules mixer_rules);

/// Attention with an output gate or a gated delta net, as the layer says.
void gated_mixer(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

}  // namespace atlas
