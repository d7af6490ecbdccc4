#include "runtime/model/dense_decoder.h"

#include <array>

namespace atlas {

namespace {

uint32_t n_embd(const ModelConfig& c) { return c.n_embd; }
uint32_t n_ff(const ModelConfig& c) { return c.n_ff; }
uint32_t n_vocab(const ModelConfig& c) { return c.n_vocab; }
uint32_t q_width(const ModelConfig& c) { return c.q_width(); }
uint32_t kv_width(const ModelConfig& c) { return c.kv_width(); }
uint32_t head_dim(const ModelConfig& c) { return c.head_dim; }
uint32_t rope_pairs(const ModelConfig& c) { return c.rope.n_rot / 2; }

constexpr Extent kVector = nullptr;

constexpr auto kModelWeights = std::to_array<ModelWeightRule>({
    {"token_embd.weight", Need::required, n_vocab, n_embd, &Weights::token_embd},
    {"output_norm.weight", Need::required, kVector, n_embd, &Weights::output_norm},
    {"output.weight", Need::optional, n_vocab, n_embd, &Weights::output},
    {"output.bias", Need::optional, kVector, n_vocab, &Weights::output_bias},
    {"rope_freqs.weight", Need::optional, kVector, rope_pairs, &Weights::rope_freqs},
});

// A scale multiplies what its matrix gives: before the bias in attention, after it in the feed-forward block.
constexpr auto kLayerWeights = std::to_array<LayerWeightRule>({
    {"attn_norm.weight", Need::required, kVector, n_embd, &LayerWeights::attn_norm},
    {"attn_q.weight", Need::required, q_width, n_embd, &LayerWeights::attn_q, Scale::folded},
    {"attn_q.bias", Need::optional, kVector, q_width, &LayerWeights::attn_q_bias},
    {"attn_k.weight", Need::required, kv_width, n_embd, &LayerWeights::attn_k, Scale::folded},
    {"attn_k.bias", Need::optional, kVector, kv_width, &LayerWeights::attn_k_bias},
    {"attn_k.bias", Need::optional, kVector, kv_width, &LayerWeights::key_shift, Scale::refused, Content::key_shift},
    {"attn_v.weight", Need::required, kv_width, n_embd, &LayerWeights::attn_v, Scale::folded},
    {"attn_v.bias", Need::optional, kVector, kv_width, &LayerWeights::attn_v_bias},
    {"attn_output.weight", Need::required, n_embd, q_width, &LayerWeights::attn_output, Scale::folded},
    {"attn_output.bias", Need::optional, kVector, n_embd, &LayerWeights::attn_output_bias},
    {"cache_turn_k.weight", Need::optional, kv_width, head_dim, &LayerWeights::cache_turn_k},
    {"cache_turn_k.bias", Need::optional, kVector, kv_width, &LayerWeights::cache_turn_k_shift},
    {"cache_turn_q.weight", Need::optional, kv_width, head_dim, &LayerWeights::cache_turn_q},
    {"cache_turn_k_feedback.weight", Need::optional, kv_width, head_dim, &LayerWeights::cache_turn_k_feedback},
    {"cache_turn_v.weight", Need::optional, kv_width, head_dim, &LayerWeights::cache_turn_v},
    {"cache_turn_v_back.weight", Need::optional, kv_width, head_dim, &LayerWeights::cache_turn_v_back},
    {"cache_turn_v_feedback.weight", Need::optional, kv_width, head_dim, &LayerWeights::cache_turn_v_feedback},
    {"ffn_norm.weight", Need::required, kVector, n_embd, &LayerWeights::ffn_norm},
    {"ffn_gate.weight", Need::required, n_ff, n_embd, &LayerWeights::ffn_gate, Scale::folded},
    {"ffn_gate.bias", Need::optional, kVector, n_ff, &LayerWeights::ffn_gate_bias, Scale::folded},
    {"ffn_up.weight", Need::required, n_ff, n_embd, &LayerWeights::ffn_up, Scale::folded},
    {"ffn_up.bias", Need::optional, kVector, n_ff, &LayerWeights::ffn_up_bias, Scale::folded},
    {"ffn_down.weight", Need::required, n_embd, n_ff, &LayerWeights::ffn_down, Scale::folded},
    {"ffn_down.bias", Need::optional, kVector, n_embd, &LayerWeights::ffn_down_bias, Scale::folded},
});

constexpr auto kLayerWeightsWithoutFfnScales = [] {
    auto rules = kLayerWeights;
    for (LayerWeightRule& rule : rules) {
        if (rule.name.starts_with("ffn_") && rule.scale == Scale::folded) rule.scale = Scale::unused;
    }
    return rules;
}();

struct Qkv {
    Tensor q, k, v;
};

// Side by side where one matrix gives all three; else apart, so that their products do not wait for one another.
Qkv qkv_scratch(const ModelConfig& config, const LayerWeights& layer, uint32_t n_tokens, Ops& ops) {
    const uint32_t q_width = config.q_width(), kv_width = config.kv_width();
    if (joined_rows(joined_rows(layer.attn_q, layer.attn_k), layer.attn_v)) {
        const Tensor qkv = ops.scratch(n_tokens, q_width + 2 * kv_width, "qkv");
        return {qkv.col_range(0, q_width), qkv.col_range(q_width, kv_width), qkv.col_range(q_width + kv_width, kv_width)};
    }
    return {ops.scratch(n_tokens, q_width, "q"), ops.scratch(n_tokens, kv_width, "k"), ops.scratch(n_tokens, kv_width, "v")};
}

// Writes the K and V of the step into the cache and returns the rotated queries [n_tokens, q_width].
Tensor project_qkv(const ForwardInputs& in, const LayerWeights& layer, KvLayer cache, const Tensor& normed, Ops& ops) {
    cache.fitted_k = {layer.cache_turn_k, layer.cache_turn_k_shift, layer.cache_turn_q, layer.cache_turn_k_feedback};
    if (!cache.fitted_k) cache.fitted_k.shift = layer.key_shift;
    cache.fitted_v = {layer.cache_turn_v, {}, layer.cache_turn_v_back, layer.cache_turn_v_feedback};
    const auto [q, k, v] = qkv_scratch(in.config, layer, normed.rows, ops);
    const auto terms = std::to_array<MatmulTerm>({{layer.attn_q, layer.attn_q_bias, q},
                                                  {layer.attn_k, layer.attn_k_bias, k},
                                                  {layer.attn_v, layer.attn_v_bias, v}});
    ops.matmul_group(terms, normed);
    ops.rope_kv_write(q, k, v, in.config.rope, in.step.positions, in.weights.rope_freqs, cache, in.step.slots);
    return q;
}

// out: [rows, n_embd] = what the feed-forward block adds to the residual.
void feed_forward(const LayerWeights& layer, uint32_t n_ff, const Tensor& normed, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const Tensor gate = ops.scratch(normed.rows, n_ff, "ffn_gate");
    ops.matmul_silu_mul({layer.ffn_gate, layer.ffn_gate_bias, {}}, {layer.ffn_up, layer.ffn_up_bias, {}}, normed, gate);
    ops.matmul_add(layer.ffn_down, gate, layer.ffn_down_bias, out);
}

}  // namespace

WeightTable dense_decoder_weights() { return {kModelWeights, kLayerWeights}; }
WeightTable dense_decoder_weights_without_ffn_scales() { return {kModelWeights, kLayerWeightsWithoutFfnScales}; }

// x is the residual stream, h what a norm made of it, d what a block adds. Each block's sum and the next block's norm are one operation.
// After the last attention only the rows whose logits are wanted go on.
void forward_dense_decoder(const ForwardInputs& in, Ops& ops) {
    const ModelConfig& c = in.config;
    const uint32_t n_tokens = in.step.tokens.count;
    const uint32_t n_outputs = in.step.out_rows.count;
    ATLAS_CHECK(n_tokens > 0 && n_outputs <= n_tokens, "{} tokens, {} outputs", n_tokens, n_outputs);
    const AttentionTables tables{in.step.positions, in.step.seqs, in.step.page_table, in.step.max_pages, in.step.max_kv_tokens,
                                 in.step.shared_positions};
    const AttentionParams attention{c.n_head, c.n_head_kv, c.head_dim, c.attention_scale};

    const ScratchScope scope(ops);
    Tensor x = ops.scratch(n_tokens, c.n_embd, "x");
    Tensor h = ops.scratch(n_tokens, c.n_embd, "h");
    Tensor d = ops.scratch(n_tokens, c.n_embd, "d");
    ops.label("embed");
    ops.get_rows(in.weights.token_embd, in.step.tokens, x);
    ops.rms_norm(x, in.weights.layers[0].attn_norm, c.rms_eps, h);

    for (uint32_t il = 0; il < c.n_layer; ++il) {
        const LayerWeights& layer = in.weights.layers[il];
        const bool is_last = il + 1 == c.n_layer;
        ops.label("attention");
        {
            const ScratchScope attention_scope(ops);
            const Tensor q = project_qkv(in, layer, in.kv[il], h, ops);
            if (is_last && n_outputs == 0) return;  // the cache is all that was wanted
            const Tensor heads = ops.scratch(n_tokens, c.q_width(), "heads");
            ops.attention(q, in.kv[il], tables, attention, heads);
            if (in.kv[il].rotate_v && layer.cache_turn_v) ops.turn_heads(heads, layer.cache_turn_v_back, {});
            else if (in.kv[il].rotate_v) ops.hadamard(heads, hadamard_block(attention.value_dim()));
            ops.matmul_add(layer.attn_output, heads, layer.attn_output_bias, d);
        }
        if (is_last && n_outputs < n_tokens) {
            const Tensor wanted_x = ops.scratch(n_outputs, c.n_embd, "wanted_x");
            const Tensor wanted_d = ops.scratch(n_outputs, c.n_embd, "wanted_d");
            ops.get_rows(x, in.step.out_rows, wanted_x);
            ops.get_rows(d, in.step.out_rows, wanted_d);
            x = wanted_x;
            d = wanted_d;
            h = h.row_range(0, n_outputs);
        }
        ops.label("ffn");
        ops.add_rms_norm(x, d, layer.ffn_norm, c.rms_eps, x, h);
        feed_forward(layer, c.n_ff, h, d, ops);
        ops.add_rms_norm(x, d, is_last ? in.weights.output_norm : in.weights.layers[il + 1].attn_norm, c.rms_eps, x, h);
    }
    ops.label("output");
    ops.matmul_add(in.weights.output, h, in.weights.output_bias, in.logits);
}

}  // namespace atlas
