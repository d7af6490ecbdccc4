#include "runtime/model/decoder_parts.h"

#include <array>
#include <optional>

namespace atlas {

namespace {

// Side by side where one matrix gives all three; else apart, so that their products do not wait for one another.
Qkv qkv_scratch(const Layer& layer, uint32_t n_tokens, Ops& ops) {
    const uint32_t q = layer.config.q_width(), k = layer.config.k_width(), v = layer.config.v_width();
    if (joined_rows(joined_rows(layer[kAttnQ], layer[kAttnK]), layer[kAttnV])) {
        const Tensor qkv = ops.scratch(n_tokens, q + k + v, "qkv");
        return {qkv.col_range(0, q), qkv.col_range(q, k), qkv.col_range(q + k, v)};
    }
    return {ops.scratch(n_tokens, q, "q"), ops.scratch(n_tokens, k, "k"), ops.scratch(n_tokens, v, "v")};
}

void norm_heads(const ModelConfig& config, const Tensor& x, const Tensor& gain, Ops& ops) {
    const float eps = config.norm_eps;
    if (!gain) return;
    if (config.norm == Norm::layer)
        ops.layer_norm(x, gain, {}, eps, x);
    else if (gain.cols == x.cols)
        ops.rms_norm(x, gain, eps, x);
    else
        ops.rms_norm_heads(x, gain, eps, gain.cols, x);
}

// What divides the angles of pairs: factors for all contexts, or for contexts up to and beyond that of the first
// training.
Tensor rope_factors(const Layer& layer) {
    const ForwardInputs& in = layer.in;
    const RopeParams& rope = layer.config.rope;
    if (rope.n_rot == 0 || !layer.config.rope_factors) return {};
    if (in.weights[kRopeFreqs]) return in.weights[kRopeFreqs];
    const bool is_long = uint64_t{in.step.max_pages} * in.kv[layer.il].page_tokens > rope.n_ctx_orig;
    return in.weights[is_long ? kRopeLong : kRopeShort];
}

}  // namespace

Qkv project_qkv(const Layer& layer, const Tensor& h, Ops& ops) {
    const Qkv qkv = qkv_scratch(layer, h.rows, ops);
    const auto terms = std::to_array<MatmulTerm>({{layer[kAttnQ], layer[kAttnQBias], qkv.q},
                                                  {layer[kAttnK], layer[kAttnKBias], qkv.k},
                                                  {layer[kAttnV], layer[kAttnVBias], qkv.v}});
    ops.matmul_group(terms, h);
    return qkv;
}

void norm_qk(const Layer& layer, const Qkv& qkv, Ops& ops) {
    norm_heads(layer.in.config, qkv.q, layer[kAttnQNorm], ops);
    norm_heads(layer.in.config, qkv.k, layer[kAttnKNorm], ops);
}

void write_kv(const Layer& layer, const Qkv& qkv, Ops& ops) {
    const ForwardInputs& in = layer.in;
    KvLayer cache = in.kv[layer.il];
    cache.fitted_k = {layer[kRotateK], layer[kRotateKShift], layer[kRotateQ], layer[kRotateKFeedback]};
    // A shift adds the same number to all scores of a query. The softmax does not see that, but a cap and a sink do.
    const bool can_shift = in.config.attention_softcap == 0 && !layer[kAttnSinks];
    if (!cache.fitted_k && can_shift) cache.fitted_k.shift = layer[kKeyShift];
    cache.fitted_v = {layer[kRotateV], {}, layer[kRotateVBack], layer[kRotateVFeedback]};
    ops.rope_kv_write(qkv.q, qkv.k, qkv.v, layer.config.rope, in.step.positions, rope_factors(layer), cache,
                      in.step.slots_for(layer.config.window));
    const QueryTemperature& temperature = in.config.query_temperature;
    if (temperature.beta != 0) ops.scale_by_position(qkv.q, in.step.positions, temperature.beta, temperature.n_ctx);
}

void turn_queries(const Layer& layer, const Tensor& q, Ops& ops) {
    const KvLayer& cache = layer.kv();
    const uint32_t owner = layer.config.kv_layer.value_or(layer.il);
    ops.rope(q, layer.config.rope, layer.in.step.positions, rope_factors(layer));
    if (!cache.rotate_k) return;
    if (const Tensor& fitted = layer.in.weights.at(owner, kRotateQ))
        ops.rotate_heads(q, fitted, {});
    else
        ops.hadamard(q, hadamard_block(layer.config.head_dim));
}

void attend(const Layer& layer, const Tensor& q, const Tensor& heads, Ops& ops) {
    const ForwardInputs& in = layer.in;
    const LayerConfig& c = layer.config;
    const KvLayer& cache = layer.kv();
    const AttentionTables tables{in.step.positions, in.step.seqs,          in.step.table_for(c.window),
                                 in.step.max_pages, in.step.max_kv_tokens, in.step.shared_positions};
    const AttentionParams params{c.n_head,
                                 c.n_head_kv,
                                 c.head_dim,
                                 in.config.attention_scale,
                                 c.v_head_dim,
                                 c.window,
                                 in.config.attention_softcap,
                                 layer[kAttnSinks]};
    ops.attention(q, cache, tables, params, heads);
    const Tensor& back = in.weights.at(c.kv_layer.value_or(layer.il), kRotateVBack);
    if (cache.rotate_v && back)
        ops.rotate_heads(heads, back, {});
    else if (cache.rotate_v)
        ops.hadamard(heads, hadamard_block(params.value_dim()));
}

namespace {

void gate_heads(const Layer& layer, Activation activation, const Tensor& h, const Tensor& heads, Ops& ops) {
    const ScratchScope scope(ops);
    const Tensor& w = layer[kAttnGate];
    const Tensor gate = ops.scratch(h.rows, w.rows, "attn_gate");
    ops.matmul(w, h, gate);
    ops.gated_mul(activation, gate, heads, heads);
}

void attention_block(const Layer& layer, std::optional<Activation> gate, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const Qkv qkv = project_qkv(layer, h, ops);
    norm_qk(layer, qkv, ops);
    write_kv(layer, qkv, ops);
    if (!layer.wants_output()) return;
    const Tensor heads = ops.scratch(h.rows, layer.config.n_head * layer.config.v_head_dim, "heads");
    attend(layer, qkv.q, heads, ops);
    if (gate) gate_heads(layer, *gate, h, heads, ops);
    ops.matmul_add(layer[kAttnOutput], heads, layer[kAttnOutputBias], out);
}

}  // namespace

void self_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    attention_block(layer, {}, h, out, ops);
}

void gated_self_attention(const Layer& layer, Activation activation, const Tensor& h, const Tensor& out, Ops& ops) {
    attention_block(layer, activation, h, out, ops);
}

void feed_forward(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const Activation activation = layer.in.config.activation;
    const Tensor inner = ops.scratch(h.rows, layer.config.n_ff, "ffn_inner");
    if (layer[kFfnGate]) {
        ops.matmul_gated(activation, {layer[kFfnGate], layer[kFfnGateBias], {}}, {layer[kFfnUp], layer[kFfnUpBias], {}},
                         h, inner);
    } else {
        ops.matmul_add(layer[kFfnUp], h, layer[kFfnUpBias], inner);
        ops.activate(activation, inner, inner);
    }
    ops.matmul_add(layer[kFfnDown], inner, layer[kFfnDownBias], out);
}

void embed_tokens(const ForwardInputs& in, const Tensor& x, Ops& ops) {
    ops.get_rows(in.weights[kTokenEmbd], in.step.tokens, x);
    if (in.config.embedding_scale != 1) ops.scale(x, in.config.embedding_scale, 0, x);
    if (!in.weights[kPositionEmbd]) return;
    const ScratchScope scope(ops);
    const Tensor of_positions = ops.scratch(x.rows, x.cols, "position_embd");
    ops.get_rows(in.weights[kPositionEmbd], in.step.positions, of_positions);
    ops.add(x, of_positions, x);
}

Tensor output_rows(const ForwardInputs& in, const Tensor& x, Ops& ops) {
    if (!x || in.step.out_rows.count == x.rows) return x;
    const Tensor rows = ops.scratch(in.step.out_rows.count, x.cols, "wanted_rows");
    ops.get_rows(x, in.step.out_rows, rows);
    return rows;
}

void write_logits(const ForwardInputs& in, const Tensor& h, Ops& ops) {
    const ModelConfig& c = in.config;
    ops.matmul_add(in.weights[kOutput], h, in.weights[kOutputBias], in.logits);
    if (c.logit_scale != 1 || c.logit_softcap > 0) ops.scale(in.logits, c.logit_scale, c.logit_softcap, in.logits);
}

ResidualStream::ResidualStream(const ForwardInputs& in, Ops& ops) : in_(in), ops_(ops) {
    const uint32_t n_tokens = in.step.tokens.count, n_outputs = in.step.out_rows.count, n_embd = in.config.n_embd;
    ATLAS_CHECK(n_tokens > 0 && n_outputs <= n_tokens, "{} tokens, {} outputs", n_tokens, n_outputs);
    x_ = ops.scratch(n_tokens, n_embd, "x");
    h_ = ops.scratch(n_tokens, n_embd, "h");
    d_ = ops.scratch(n_tokens, n_embd, "d");
}

const Tensor& ResidualStream::x() {
    if (is_pending_) ops_.add(x_, d_, x_);
    is_pending_ = false;
    return x_;
}

const Tensor& ResidualStream::normed(const Tensor& gain, const Tensor& bias) {
    const ModelConfig& c = in_.config;
    if (c.norm == Norm::layer) {
        ops_.layer_norm(x(), gain, bias, c.norm_eps, h_);
        return h_;
    }
    if (is_pending_)
        ops_.add_rms_norm(x_, d_, gain, c.norm_eps, x_, h_);
    else
        ops_.rms_norm(x_, gain, c.norm_eps, h_);
    is_pending_ = false;
    if (bias) ops_.add(h_, bias, h_);
    return h_;
}

void ResidualStream::add_block() {
    ATLAS_CHECK(!is_pending_, "two blocks in one place");
    if (in_.config.residual_scale != 1) ops_.scale(d_, in_.config.residual_scale, 0, d_);
    is_pending_ = true;
}

void ResidualStream::keep_outputs() {
    const uint32_t n_outputs = in_.step.out_rows.count;
    if (n_outputs == x_.rows) return;
    const Tensor x = ops_.scratch(n_outputs, x_.cols, "wanted_x");
    const Tensor d = ops_.scratch(n_outputs, x_.cols, "wanted_d");
    ops_.get_rows(x_, in_.step.out_rows, x);
    ops_.get_rows(d_, in_.step.out_rows, d);
    x_ = x;
    d_ = d;
    h_ = h_.row_range(0, n_outputs);
}

namespace {

void post_norm(const Layer& layer, WeightId id, const DecoderBlocks& blocks, const Tensor& out, Ops& ops) {
    if (id.name.empty()) return;
    const float eps = blocks.post_norm_eps > 0 ? blocks.post_norm_eps : layer.in.config.norm_eps;
    ops.rms_norm(out, layer[id], eps, out);
}

// h is what the mixer read; what the feed-forward block makes of it joins what the mixer has written.
void add_parallel(const Layer& layer, const DecoderBlocks& blocks, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const Tensor more = ops.scratch(h.rows, h.cols, "ffn_out");
    blocks.feed_forward(layer, h, more, ops);
    ops.add(out, more, out);
}

}  // namespace

// After the last mixer only the rows whose logits are requested are computed.
void forward_decoder(const ForwardInputs& in, Ops& ops, const DecoderBlocks& blocks) {
    const ScratchScope scope(ops);
    ResidualStream stream(in, ops);
    ops.label("embed");
    blocks.embed(in, stream.x(), ops);
    for (uint32_t il = 0; il < in.config.n_layer(); ++il) {
        const Layer layer{in, il};
        const Tensor mixed = blocks.mixer_norm ? stream.normed(layer, blocks.mixer_norm) : stream.x();
        ops.label("attention");
        blocks.mixer(layer, mixed, stream.block_out(), ops);
        if (!layer.wants_output()) return;
        post_norm(layer, blocks.mixer_post_norm, blocks, stream.block_out(), ops);
        if (blocks.parallel) add_parallel(layer, blocks, mixed, stream.block_out(), ops);
        stream.add_block();
        if (layer.is_last()) stream.keep_outputs();
        if (blocks.parallel || blocks.feed_forward == nullptr) continue;
        ops.label("ffn");
        const Tensor h = blocks.feed_forward_norm ? stream.normed(layer, blocks.feed_forward_norm) : stream.x();
        blocks.feed_forward(layer, h, stream.block_out(), ops);
        post_norm(layer, blocks.feed_forward_post_norm, blocks, stream.block_out(), ops);
        stream.add_block();
    }
    const Tensor h = stream.normed(in.weights[kNormOfOutput.gain], in.weights[kNormOfOutput.bias]);
    ops.label("output");
    write_logits(in, h, ops);
}

}  // namespace atlas
