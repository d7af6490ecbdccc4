#pragma once
// Rules that many architectures share. An architecture joins them and adds its own.

#include "runtime/model/weights.h"

namespace atlas {

// Ids that forward passes, the cache and the loader look up.
inline constexpr WeightId kTokenEmbd{"token_embd.weight"}, kOutputNorm{"output_norm.weight"}, kOutput{"output.weight"},
    kOutputBias{"output.bias"}, kRopeFreqs{"rope_freqs.weight"}, kRopeLong{"rope_factors_long.weight"},
    kRopeShort{"rope_factors_short.weight"}, kOutputNormBias{"output_norm.bias"}, kPositionEmbd{"position_embd.weight"};
inline constexpr WeightId kAttnNorm{"attn_norm.weight"}, kAttnQ{"attn_q.weight"}, kAttnQBias{"attn_q.bias"},
    kAttnK{"attn_k.weight"}, kAttnKBias{"attn_k.bias"}, kAttnV{"attn_v.weight"}, kAttnVBias{"attn_v.bias"},
    kAttnOutput{"attn_output.weight"}, kAttnOutputBias{"attn_output.bias"}, kAttnQNorm{"attn_q_norm.weight"},
    kAttnKNorm{"attn_k_norm.weight"}, kAttnNormBias{"attn_norm.bias"}, kAttnSinks{"attn_sinks.weight"},
    kAttnPostNorm{"post_attention_norm.weight"}, kAttnGate{"attn_gate.weight"};
inline constexpr WeightId kDeltaQkv{"attn_qkv.weight"}, kDeltaBeta{"ssm_beta.weight"}, kDeltaAlpha{"ssm_alpha.weight"},
    kDeltaConv{"ssm_conv1d.weight"}, kDeltaA{"ssm_a"}, kDeltaDtBias{"ssm_dt.bias"}, kDeltaNorm{"ssm_norm.weight"},
    kDeltaOut{"ssm_out.weight"}, kDeltaBa{"ssm_ba.weight"}, kDeltaIn{"ssm_in.weight"};
inline constexpr WeightId kAttnQA{"attn_q_a.weight"}, kAttnQANorm{"attn_q_a_norm.weight"}, kAttnQB{"attn_q_b.weight"},
    kAttnKvA{"attn_kv_a_mqa.weight"}, kAttnKvANorm{"attn_kv_a_norm.weight"}, kAttnKB{"attn_k_b.weight"},
    kAttnVB{"attn_v_b.weight"};
inline constexpr WeightId kKeyShift{"key_shift"};  // made of attn_k.bias, see runtime/model/key_shift.h
inline constexpr WeightId kFfnNorm{"ffn_norm.weight"}, kFfnGate{"ffn_gate.weight"}, kFfnGateBias{"ffn_gate.bias"},
    kFfnUp{"ffn_up.weight"}, kFfnUpBias{"ffn_up.bias"}, kFfnDown{"ffn_down.weight"}, kFfnDownBias{"ffn_down.bias"},
    kFfnNormBias{"ffn_norm.bias"}, kFfnPostNorm{"post_ffw_norm.weight"};
inline constexpr WeightId kFfnGateInp{"ffn_gate_inp.weight"}, kFfnGateInpBias{"ffn_gate_inp.bias"},
    kExpProbsBias{"exp_probs_b.bias"}, kFfnGateExps{"ffn_gate_exps.weight"}, kFfnUpExps{"ffn_up_exps.weight"},
    kFfnDownExps{"ffn_down_exps.weight"}, kFfnGateUpExps{"ffn_gate_up_exps.weight"},
    kFfnGateExpsBias{"ffn_gate_exps.bias"}, kFfnUpExpsBias{"ffn_up_exps.bias"}, kFfnDownExpsBias{"ffn_down_exps.bias"},
    kFfnGateExpsScale{"ffn_gate_exps.scale"}, kFfnUpExpsScale{"ffn_up_exps.scale"},
    kFfnDownExpsScale{"ffn_down_exps.scale"};
inline constexpr WeightId kFfnGateInpShared{"ffn_gate_inp_shexp.weight"}, kFfnGateShared{"ffn_gate_shexp.weight"},
    kLatentDown{"ffn_latent_down.weight"}, kLatentUp{"ffn_latent_up.weight"}, kFfnUpShared{"ffn_up_shexp.weight"},
    kFfnDownShared{"ffn_down_shexp.weight"};
inline constexpr WeightId kLayerScale{"layer_output_scale.weight"};  // one factor of all that a layer gives
// What a token adds to each layer by a table of its own (Gemma 3n, Gemma 4).
inline constexpr WeightId kPerLayerEmbd{"per_layer_token_embd.weight"}, kPerLayerProj{"per_layer_model_proj.weight"},
    kPerLayerProjNorm{"per_layer_proj_norm.weight"}, kPerLayerGate{"inp_gate.weight"}, kPerLayerUp{"proj.weight"},
    kPerLayerNorm{"post_norm.weight"};
// Ours, see runtime/model/cache_rotation.h.
inline constexpr WeightId kRotateK{"cache_turn_k.weight"}, kRotateKShift{"cache_turn_k.bias"},
    kRotateQ{"cache_turn_q.weight"}, kRotateKFeedback{"cache_turn_k_feedback.weight"}, kRotateV{"cache_turn_v.weight"},
    kRotateVBack{"cache_turn_v_back.weight"}, kRotateVFeedback{"cache_turn_v_feedback.weight"};

/// token_embd, output_norm, output (usual), output.bias, rope_freqs (optional).
WeightRules model_weights(const ModelConfig& config);

/// attn_norm, q, k, v (also fused: attn_qkv), output; biases as needed; the matrices of fit-cache.
WeightRules attention_weights(Need qkv_bias = Need::optional, Need output_bias = Need::optional);
/// attn_q_norm and attn_k_norm: of every head.
WeightRules head_norm_weights();

/// Queries from a latent vector where the model has one, keys and values always (LatentConfig).
WeightRules latent_attention_weights(const LayerConfig& layer);
/// The gated delta net (DeltaNetConfig), with attn_norm.
WeightRules delta_net_weights();

/// ffn_gate, ffn_up, ffn_down with optional biases.
WeightRules gated_feed_forward_weights(Scale scale = Scale::folded);
/// The same without biases, whose files usually have one matrix ffn_up that begins with the gate's rows.
WeightRules fused_feed_forward_weights();
/// ffn_up and ffn_down with biases.
WeightRules plain_feed_forward_weights();
/// The router and the experts, and the experts that every token uses, if the layer has any.
WeightRules expert_weights(const LayerConfig& layer, Scale scale = Scale::folded);
/// The same for a family whose files may have gate and up in one tensor, each expert's gate first.
WeightRules maybe_merged(WeightRules expert_rules);
/// expert_weights or, for a layer without experts, gated_feed_forward_weights.
WeightRules expert_or_dense_weights(const LayerConfig& layer, Scale scale = Scale::folded);
/// One factor for each expert's matrices: ffn_gate_exps.scale and the others.
WeightRules expert_scales();
/// A vector as wide as the activations.
WeightRule norm_weight(WeightId id);

/// Whether forward passes multiply activations with this weight: matrices but the embedding, which is looked up,
/// those of fit-cache, and experts, which a step multiplies with a part of its tokens.
bool is_product(WeightId id, const Tensor& weight);

}  // namespace atlas
