#pragma once
// The parts of decoders. A family's forward pass is a short composition of them: forward_decoder with its own blocks,
// or a loop of its own over the same parts.

#include "runtime/model/common_weights.h"
#include "runtime/model/forward.h"

namespace atlas {

/// One layer of a pass: its weights and numbers.
struct Layer {
    const ForwardInputs& in;
    uint32_t il = 0;
    const LayerConfig& config = in.config.layers[il];

    /// The keys and values that it reads.
    const KvLayer& kv() const { return in.kv[config.kv_layer.value_or(il)]; }
    /// Empty where the file has no such tensor.
    const Tensor& operator[](WeightId id) const { return in.weights.at(il, id); }
    bool is_last() const { return il + 1 == in.config.n_layer(); }
    /// False for the last layer of a step without outputs: once its cache is written, the step is done.
    bool wants_output() const { return !is_last() || in.step.out_rows.count > 0; }
};

/// A block writes what it adds to the residual stream into out [rows, n_embd]. h: its input, normed where the family
/// norms it. Mixers, blocks that look at other tokens, may return as soon as their cache is written if the layer wants
/// no output.
using Block = void (*)(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

/// The weights of a norm; without a gain there is no norm.
struct NormIds {
    WeightId gain;
    WeightId bias = {};

    explicit operator bool() const { return !gain.name.empty(); }
};
inline constexpr NormIds kNormOfAttention{kAttnNorm, kAttnNormBias}, kNormOfFeedForward{kFfnNorm, kFfnNormBias},
    kNormOfOutput{kOutputNorm, kOutputNormBias};

struct Qkv {
    Tensor q, k, v;  // [n_tokens, width], in scratch
};

/// The products of h with their biases.
Qkv project_qkv(const Layer& layer, const Tensor& h, Ops& ops);
/// The norms attn_q_norm and attn_k_norm, where the file has them. RMS norms of every head, or of the whole width if
/// they are as long; layer norms of every head, with a row of gains each.
void norm_qk(const Layer& layer, const Qkv& qkv, Ops& ops);
/// Turns q and k by their positions and writes k and v to the cache; they are undefined afterwards, q is ready.
void write_kv(const Layer& layer, const Qkv& qkv, Ops& ops);
/// What write_kv does with q, for a layer that reads another's keys.
void turn_queries(const Layer& layer, const Tensor& q, Ops& ops);
/// heads: [n_tokens, n_head * v_head_dim], what each head of queries gets from the cache. Uses attn_sinks.
void attend(const Layer& layer, const Tensor& q, const Tensor& heads, Ops& ops);
/// All of the above and the output product.
void self_attention(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);
/// The same with heads * activation(attn_gate h) before the output product, a number per head or per element.
void gated_self_attention(const Layer& layer, Activation activation, const Tensor& h, const Tensor& out, Ops& ops);

/// ffn_down(activation(ffn_gate h) * ffn_up h), or without ffn_gate ffn_down(activation(ffn_up h)), with their biases.
/// The activation is the model's.
void feed_forward(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops);

/// x = the step's rows of token_embd, times the model's scale, plus their rows of position_embd if the file has it.
void embed_tokens(const ForwardInputs& in, const Tensor& x, Ops& ops);
/// The rows of x, one per token, whose logits are requested: x itself if all are; else in scratch. Empty of an empty x.
Tensor output_rows(const ForwardInputs& in, const Tensor& x, Ops& ops);
/// The logits of h [n_outputs, n_embd], with the model's scale and cap.
void write_logits(const ForwardInputs& in, const Tensor& h, Ops& ops);

/// The residual stream. What a block adds is added together with the next norm, in one operation, where there is one.
class ResidualStream {
  public:
    /// Takes scratch for all of the pass; its content is undefined until x() was written once.
    ResidualStream(const ForwardInputs& in, Ops& ops);

    /// [rows, n_embd], with all blocks added. Written by the embedding.
    const Tensor& x();
    /// The norm of x; valid until the next call.
    const Tensor& normed(const Tensor& gain, const Tensor& bias);
    const Tensor& normed(const Layer& layer, const NormIds& ids) { return normed(layer[ids.gain], layer[ids.bias]); }
    /// Where blocks write.
    const Tensor& block_out() const { return d_; }
    /// x += block_out() times the model's residual scale.
    void add_block();
    /// From here on only the rows whose logits are requested. Records nothing if all are.
    void keep_outputs();

  private:
    const ForwardInputs& in_;
    Ops& ops_;
    Tensor x_, h_, d_;
    bool is_pending_ = false;  // d_ is to be added to x_
};

/// What a family's decoder does its own way.
struct DecoderBlocks {
    Block mixer = self_attention;
    Block feed_forward = atlas::feed_forward;  // null: none
    NormIds mixer_norm = kNormOfAttention;     // before the block; without a gain it reads the residual stream itself
    NormIds feed_forward_norm = kNormOfFeedForward;
    WeightId mixer_post_norm = {};  // RMS norm of what the block adds
    WeightId feed_forward_post_norm = {};
    float post_norm_eps = 0;  // 0: the model's
    bool parallel = false;    // both blocks read mixer_norm, and what they add is added together
    void (*embed)(const ForwardInputs& in, const Tensor& x, Ops& ops) = embed_tokens;
};

/// A decoder of layers with a mixer and a feed-forward block each.
void forward_decoder(const ForwardInputs& in, Ops& ops, const DecoderBlocks& blocks);

}  // namespace atlas
