#include "runtime/model/latent_parts.h"

#include <cmath>

#include "runtime/model/limits.h"

namespace atlas {

namespace {

// YaRN's magnitude is also part of the scale of scores; sine and cosine have it as the file says.
Result<void> read_magnitude(const KeyReader& keys, LayerConfig& layer, ModelConfig& config) {
    ATLAS_TRY(const float stored, keys.number_or("rope.scaling.yarn_log_multiplier", -1e6f, 1e6f, 0));
    const bool yarn = layer.rope.ext_factor != 0;
    const float log_factor = yarn ? -std::log(layer.rope.freq_scale) : 0, of_rope = 1 + 0.1f * log_factor;
    if (stored != 0) layer.rope.attn_factor /= of_rope;  // the rope multiplies with it
    const float magnitude = layer.rope.attn_factor * of_rope * (1 + stored * log_factor);
    config.attention_scale = magnitude * magnitude / std::sqrt(float(layer.head_dim));
    return {};
}

Result<void> check_kernels(const KeyReader& keys, const LayerConfig& layer) {
    const uint32_t rank = layer.latent.kv_rank, rope = layer.latent.rope_dim;
    if (rank % kAttentionHeadMultiple == 0 && rope % kAttentionHeadMultiple == 0 &&
        rank + rope <= kLargestAttentionHead)
        return {};
    return fail(ErrorCode::unsupported, "{} and {}: supported are multiples of {}, together up to {}, found {} and {}",
                keys.full("attention.kv_lora_rank"), keys.full("rope.dimension_count"), kAttentionHeadMultiple,
                kLargestAttentionHead, rank, rope);
}

// A matrix of heads side by side, [n_tokens, n_head * d], as one row per token and head.
Tensor by_head(const Tensor& x, uint32_t d) {
    ATLAS_CHECK(x.contiguous() && x.cols % d == 0, "[{}, {}] in heads of {}", x.rows, x.cols, d);
    Tensor heads = x;
    heads.rows = x.rows * (x.cols / d);
    heads.cols = heads.row_stride_elems = d;
    return heads;
}

void copy(const Tensor& from, const Tensor& to, Ops& ops) { ops.scale(from, 1, 0, to); }

// y's columns of head h = w_h x's columns of head h. w: [n_head * n_out, n_in]; of x's heads of x_head columns the
// first n_in are read, of y's heads of y_head columns the first n_out written.
void multiply_heads(const Tensor& w, const Tensor& x, uint32_t x_head, const Tensor& y, uint32_t y_head,
                    uint32_t n_head, Ops& ops) {
    const uint32_t n_out = w.rows / n_head;
    for (uint32_t h = 0; h < n_head; ++h)
        ops.matmul(w.row_range(h * n_out, n_out), x.col_range(h * x_head, w.cols), y.col_range(h * y_head, n_out));
}

// [n_tokens, n_head * head_dim]; of a head the last rope_dim elements carry the position.
Tensor project_queries(const Layer& layer, const Tensor& h, Ops& ops) {
    const Tensor q = ops.scratch(h.rows, layer.config.q_width(), "q");
    if (layer.config.latent.q_rank == 0) {
        ops.matmul(layer[kAttnQ], h, q);
        return q;
    }
    const ScratchScope scope(ops);
    const Tensor a = ops.scratch(h.rows, layer.config.latent.q_rank, "q_a");
    ops.matmul(layer[kAttnQA], h, a);
    ops.rms_norm(a, layer[kAttnQANorm], layer.in.config.norm_eps, a);
    ops.matmul(layer[kAttnQB], a, q);
    return q;
}

// A latent has no heads: all of it is rotated where keys or values are.
bool is_rotated(const Layer& layer) { return layer.in.kv[layer.il].rotate_k || layer.in.kv[layer.il].rotate_v; }

// The same queries as the cache is seen: [n_tokens, n_head * (kv_rank + rope_dim)].
Tensor absorb_queries(const Layer& layer, const Tensor& q, const RopeParams& rope, Ops& ops) {
    const ForwardInputs& in = layer.in;
    const LayerConfig& c = layer.config;
    const uint32_t rank = c.latent.kv_rank, rope_dim = c.latent.rope_dim, wide = rank + rope_dim;
    const Tensor absorbed = ops.scratch(q.rows, c.n_head * wide, "absorbed_q");
    const ScratchScope scope(ops);
    const Tensor rotary = ops.scratch(q.rows, c.n_head * rope_dim, "q_pe");
    copy(by_head(q, c.head_dim).col_range(c.head_dim - rope_dim, rope_dim), by_head(rotary, rope_dim), ops);
    ops.rope(rotary, rope, in.step.positions, in.weights[kRopeFreqs]);
    copy(by_head(rotary, rope_dim), by_head(absorbed, wide).col_range(rank, rope_dim), ops);
    multiply_heads(layer[kAttnKB], q, c.head_dim, absorbed, wide, c.n_head, ops);
    if (is_rotated(layer)) ops.hadamard(by_head(absorbed, wide).col_range(0, rank), hadamard_block(rank));
    const QueryTemperature& temperature = in.config.query_temperature;
    if (temperature.beta != 0) ops.scale_by_position(absorbed, in.step.positions, temperature.beta, temperature.n_ctx);
    return absorbed;
}

void write_latent(const Layer& layer, const Tensor& h, const RopeParams& rope, Ops& ops) {
    const ForwardInputs& in = layer.in;
    const uint32_t rank = layer.config.latent.kv_rank;
    const ScratchScope scope(ops);
    const Tensor latent = ops.scratch(h.rows, rank + rope.head_dim, "latent");
    ops.matmul(layer[kAttnKvA], h, latent);
    const Tensor c = latent.col_range(0, rank);
    ops.rms_norm(c, layer[kAttnKvANorm], in.config.norm_eps, c);
    ops.rope(latent.col_range(rank, rope.head_dim), rope, in.step.positions, in.weights[kRopeFreqs]);
    if (is_rotated(layer)) ops.hadamard(c, hadamard_block(rank));
    ops.kv_write(latent, {}, in.kv[layer.il], in.step.slots_for(layer.config.window));
}

}  // namespace

Result<uint32_t> count_trunk_layers(const KeyReader& keys) {
    ATLAS_TRY(const uint32_t n_blocks, keys.count("block_count", {1, kMaxLayers}));
    ATLAS_TRY(const uint32_t n_draft, keys.count_or("nextn_predict_layers", {0, n_blocks - 1}, 0));
    return n_blocks - n_draft;
}

Result<void> read_latent_attention(const KeyReader& keys, bool compresses_queries, ModelConfig& config) {
    LayerConfig layer = config.layers.front();
    ATLAS_TRY(layer.latent.kv_rank, keys.count("attention.kv_lora_rank", {1, kMaxWidth}));
    if (compresses_queries) {
        ATLAS_TRY(layer.latent.q_rank, keys.count("attention.q_lora_rank", {1, kMaxWidth}));
    }
    // In newer files key_length is the cached width and key_length_mla the size of a head.
    ATLAS_TRY(layer.head_dim, keys.count_or("attention.key_length_mla", {2, kMaxWidth}, layer.head_dim));
    ATLAS_TRY(layer.v_head_dim, keys.count_or("attention.value_length_mla", {1, kMaxWidth}, layer.v_head_dim));
    ATLAS_TRY(layer.latent.rope_dim, keys.count("rope.dimension_count", {1, layer.head_dim - 1}));
    ATLAS_TRY_VOID(check_kernels(keys, layer));
    ATLAS_TRY_VOID(read_magnitude(keys, layer, config));
    QueryTemperature& temperature = config.query_temperature;
    ATLAS_TRY(temperature.beta, keys.number_or("attention.temperature_scale", 0, 1e6f, 0));
    if (temperature.beta != 0) {
        ATLAS_TRY(temperature.n_ctx, keys.count("attention.temperature_length", {1, kMaxContext}));
    }
    for (LayerConfig& each : config.layers) {
        each.mixer = Mixer::latent_attention;
        each.latent = layer.latent;
        each.rope = layer.rope;
        each.head_dim = layer.head_dim;
        each.v_head_dim = layer.v_head_dim;
    }
    return {};
}

void latent_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ForwardInputs& in = layer.in;
    const LayerConfig& c = layer.config;
    const uint32_t rank = c.latent.kv_rank;
    const ScratchScope scope(ops);
    RopeParams rope = c.rope;
    rope.head_dim = rope.n_rot = c.latent.rope_dim;
    write_latent(layer, h, rope, ops);
    if (!layer.wants_output()) return;
    const Tensor sums = ops.scratch(h.rows, c.n_head * rank, "latent_sums");
    {
        const ScratchScope queries(ops);
        const Tensor absorbed = absorb_queries(layer, project_queries(layer, h, ops), rope, ops);
        KvLayer cache = in.kv[layer.il];
        cache.v = cache.k.col_range(0, rank);
        const AttentionTables tables{in.step.positions, in.step.seqs,          in.step.table_for(c.window),
                                     in.step.max_pages, in.step.max_kv_tokens, in.step.shared_positions};
        const AttentionParams params{.n_head = c.n_head,
                                     .n_head_kv = 1,
                                     .head_dim = rank + c.latent.rope_dim,
                                     .scale = in.config.attention_scale,
                                     .v_head_dim = rank};
        ops.attention(absorbed, cache, tables, params, sums);
    }
    if (is_rotated(layer)) ops.hadamard(sums, hadamard_block(rank));
    const Tensor heads = ops.scratch(h.rows, c.n_head * c.v_head_dim, "heads");
    multiply_heads(layer[kAttnVB], sums, rank, heads, c.v_head_dim, c.n_head, ops);
    ops.matmul_add(layer[kAttnOutput], heads, layer[kAttnOutputBias], out);
}

}  // namespace atlas
