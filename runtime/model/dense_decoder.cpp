#include "runtime/model/dense_decoder.h"

#include <algorithm>
#include <array>

#include "runtime/model/common_weights.h"
#include "runtime/model/limits.h"

namespace atlas {

namespace {

struct Qkv {
    Tensor q, k, v;
};

// One layer's weights and numbers.
struct Layer {
    const ForwardInputs& in;
    uint32_t il;
    const LayerConfig& config = in.config.layers[il];

    const Tensor& operator[](WeightId id) const { return in.weights.at(il, id); }
};

// Side by side where one matrix gives all three; else apart, so that their products do not wait for one another.
Qkv qkv_scratch(const Layer& layer, uint32_t n_tokens, Ops& ops) {
    const uint32_t q = layer.config.q_width(), k = layer.config.k_width(), v = layer.config.v_width();
    if (joined_rows(joined_rows(layer[kAttnQ], layer[kAttnK]), layer[kAttnV])) {
        const Tensor qkv = ops.scratch(n_tokens, q + k + v, "qkv");
        return {qkv.col_range(0, q), qkv.col_range(q, k), qkv.col_range(q + k, v)};
    }
    return {ops.scratch(n_tokens, q, "q"), ops.scratch(n_tokens, k, "k"), ops.scratch(n_tokens, v, "v")};
}

// Writes the K and V of the step into the cache and returns the queries after rope [n_tokens, q_width].
Tensor project_qkv(const Layer& layer, const Tensor& normed, Ops& ops) {
    KvLayer cache = layer.in.kv[layer.il];
    cache.fitted_k = {layer[kRotateK], layer[kRotateKShift], layer[kRotateQ], layer[kRotateKFeedback]};
    if (!cache.fitted_k) cache.fitted_k.shift = layer[kKeyShift];
    cache.fitted_v = {layer[kRotateV], {}, layer[kRotateVBack], layer[kRotateVFeedback]};
    const auto [q, k, v] = qkv_scratch(layer, normed.rows, ops);
    const auto terms = std::to_array<MatmulTerm>({{layer[kAttnQ], layer[kAttnQBias], q},
                                                  {layer[kAttnK], layer[kAttnKBias], k},
                                                  {layer[kAttnV], layer[kAttnVBias], v}});
    ops.matmul_group(terms, normed);
    if (layer[kAttnQNorm]) ops.rms_norm_heads(q, layer[kAttnQNorm], layer.in.config.norm_eps);
    if (layer[kAttnKNorm]) ops.rms_norm_heads(k, layer[kAttnKNorm], layer.in.config.norm_eps);
    ops.rope_kv_write(q, k, v, layer.config.rope, layer.in.step.positions, layer.in.weights[kRopeFreqs], cache,
                      layer.in.step.slots);
    return q;
}

// out: [rows, n_embd] = what the feed-forward block adds to the residual.
void feed_forward(const Layer& layer, const Tensor& normed, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const Tensor gate = ops.scratch(normed.rows, layer.config.n_ff, "ffn_gate");
    ops.matmul_gated(Activation::silu, {layer[kFfnGate], layer[kFfnGateBias], {}},
                     {layer[kFfnUp], layer[kFfnUpBias], {}}, normed, gate);
    ops.matmul_add(layer[kFfnDown], gate, layer[kFfnDownBias], out);
}

}  // namespace

Result<ModelConfig> read_dense_decoder(const KeySource& source, RopeParams::Pairing pairing) {
    const KeyReader keys(source);
    DecoderTraits traits = pairing;
    traits.runs = true;
    ATLAS_TRY(ModelConfig config, read_decoder_config(source, traits));
    ATLAS_TRY(const uint32_t window, keys.count_or("attention.sliding_window", {0, kMaxContext}, 0));
    if (window > 0) config.n_ctx_train = std::min(config.n_ctx_train, window);
    return config;
}

// x is the residual stream, h its norm, d what a block adds. Each block's sum and the next block's norm are one
// operation. After the last attention only the rows whose logits are requested are computed.
void forward_dense_decoder(const ForwardInputs& in, Ops& ops) {
    const ModelConfig& c = in.config;
    const uint32_t n_tokens = in.step.tokens.count;
    const uint32_t n_outputs = in.step.out_rows.count;
    ATLAS_CHECK(n_tokens > 0 && n_outputs <= n_tokens, "{} tokens, {} outputs", n_tokens, n_outputs);
    const AttentionTables tables{in.step.positions, in.step.seqs,          in.step.page_table,
                                 in.step.max_pages, in.step.max_kv_tokens, in.step.shared_positions};

    const ScratchScope scope(ops);
    Tensor x = ops.scratch(n_tokens, c.n_embd, "x");
    Tensor h = ops.scratch(n_tokens, c.n_embd, "h");
    Tensor d = ops.scratch(n_tokens, c.n_embd, "d");
    ops.label("embed");
    ops.get_rows(in.weights[kTokenEmbd], in.step.tokens, x);
    ops.rms_norm(x, in.weights.at(0, kAttnNorm), c.norm_eps, h);

    for (uint32_t il = 0; il < c.n_layer(); ++il) {
        const Layer layer{in, il};
        const LayerConfig& lc = layer.config;
        const AttentionParams attention{lc.n_head, lc.n_head_kv, lc.head_dim, c.attention_scale};
        const bool is_last = il + 1 == c.n_layer();
        ops.label("attention");
        {
            const ScratchScope attention_scope(ops);
            const Tensor q = project_qkv(layer, h, ops);
            if (is_last && n_outputs == 0) return;  // only the cache was requested
            const Tensor heads = ops.scratch(n_tokens, lc.q_width(), "heads");
            ops.attention(q, in.kv[il], tables, attention, heads);
            if (in.kv[il].rotate_v && layer[kRotateV])
                ops.rotate_heads(heads, layer[kRotateVBack], {});
            else if (in.kv[il].rotate_v)
                ops.hadamard(heads, hadamard_block(attention.value_dim()));
            ops.matmul_add(layer[kAttnOutput], heads, layer[kAttnOutputBias], d);
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
        ops.add_rms_norm(x, d, layer[kFfnNorm], c.norm_eps, x, h);
        feed_forward(layer, h, d, ops);
        ops.add_rms_norm(x, d, is_last ? in.weights[kOutputNorm] : in.weights.at(il + 1, kAttnNorm), c.norm_eps, x, h);
    }
    ops.label("output");
    ops.matmul_add(in.weights[kOutput], h, in.weights[kOutputBias], in.logits);
}

}  // namespace atlas
