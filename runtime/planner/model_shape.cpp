#include "runtime/planner/model_shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>

#include "runtime/model/limits.h"

namespace atlas {

namespace {

constexpr uint32_t kDeltaNetKeyHeads = 16;  // of gated delta nets, all known models
constexpr uint32_t kDeltaNetHeadDim = 128;
constexpr uint32_t kDeltaNetConvolution = 4;

bool is_any(std::string_view arch, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), arch) != names.end();
}

// What sets an architecture's tensors apart from a plain decoder's.
struct Traits {
    explicit Traits(const ModelShape& m)
        : norm_bias(is_any(m.arch, {"starcoder2", "starcoder"})),
          fused_qkv(is_any(m.arch, {"phi3", "starcoder"})),
          fused_gate_up(is_any(m.arch, {"phi3", "glm4"})),
          no_gate(norm_bias),
          qkv_bias(m.qkv_bias && is_any(m.arch, {"qwen2", "glm4", "starcoder2", "starcoder", "gpt-oss"})),
          output_bias(is_any(m.arch, {"starcoder2", "starcoder", "gpt-oss"})),
          qk_norm(is_any(m.arch, {"qwen3", "qwen3moe", "gemma3", "gemma4", "qwen35", "qwen35moe"})),
          post_norms(is_any(m.arch, {"gemma2", "gemma3", "gemma4", "glm4"})),
          norm_after_attention(is_any(m.arch, {"gpt-oss", "qwen35", "qwen35moe"})),
          gated_attention(is_any(m.arch, {"qwen35", "qwen35moe"})),
          sinks(m.arch == "gpt-oss") {}
    bool norm_bias, fused_qkv, fused_gate_up, no_gate, qkv_bias, output_bias, qk_norm, post_norms, norm_after_attention, gated_attention, sinks;
};

class Lister {
  public:
    explicit Lister(const ModelShape& model) : m_(model), t_(model) {}

    std::vector<TensorShape> list() {
        add("token_embd.weight", {m_.n_vocab, m_.n_embd});
        norm("output_norm");
        if (!m_.tied) add("output.weight", {m_.n_vocab, m_.n_embd});
        if (m_.rope_factors) add("rope_freqs.weight", {m_.head_dim / 2});
        if (m_.arch == "starcoder") add("position_embd.weight", {m_.n_ctx, m_.n_embd});
        for (uint32_t il = 0; il < m_.n_layer; ++il) {
            prefix_ = fmt::format("blk.{}.", il);
            layer(il);
        }
        return std::move(tensors_);
    }

  private:
    void add(std::string_view name, std::vector<uint64_t> shape) { tensors_.push_back({prefix_ + std::string(name), std::move(shape)}); }
    void norm(const std::string& name) {
        add(name + ".weight", {m_.n_embd});
        if (t_.norm_bias) add(name + ".bias", {m_.n_embd});
    }

    void layer(uint32_t il) {
        norm("attn_norm");
        if (m_.is_recurrent(il)) {
            delta_net();
        } else if (m_.kv_lora_rank > 0) {
            latent_attention();
        } else {
            attention(il);
        }
        if (t_.post_norms) {
            norm("post_attention_norm");
            norm("post_ffw_norm");
        }
        norm(t_.norm_after_attention ? "post_attention_norm" : "ffn_norm");
        m_.has_experts(il) ? experts() : feed_forward();
    }

    void attention(uint32_t il) {
        const bool other_heads = m_.full_head_dim > 0 && !m_.is_windowed(il);
        const uint64_t dim = other_heads ? m_.full_head_dim : m_.head_dim, n_kv = other_heads ? m_.full_n_head_kv : m_.n_head_kv;
        const uint64_t q = m_.n_head * dim, kv = n_kv * dim;
        if (t_.fused_qkv) {
            add("attn_qkv.weight", {q + 2 * kv, m_.n_embd});
            if (t_.qkv_bias) add("attn_qkv.bias", {q + 2 * kv});
        } else {
            add("attn_q.weight", {t_.gated_attention ? 2 * q : q, m_.n_embd});
            add("attn_k.weight", {kv, m_.n_embd});
            if (!other_heads) add("attn_v.weight", {kv, m_.n_embd});  // those layers use K as V
            if (t_.qkv_bias) {
                add("attn_q.bias", {q});
                add("attn_k.bias", {kv});
                add("attn_v.bias", {kv});
            }
        }
        add("attn_output.weight", {m_.n_embd, q});
        if (t_.output_bias) add("attn_output.bias", {m_.n_embd});
        if (t_.qk_norm) {
            add("attn_q_norm.weight", {dim});
            add("attn_k_norm.weight", {dim});
        }
        if (t_.sinks) add("attn_sinks.weight", {m_.n_head});
    }

    void latent_attention() {
        const uint64_t q = uint64_t{m_.n_head} * m_.head_dim, rank = m_.kv_lora_rank;
        if (m_.q_lora_rank > 0) {
            add("attn_q_a.weight", {m_.q_lora_rank, m_.n_embd});
            add("attn_q_a_norm.weight", {m_.q_lora_rank});
            add("attn_q_b.weight", {q, m_.q_lora_rank});
        } else {
            add("attn_q.weight", {q, m_.n_embd});
        }
        add("attn_kv_a_mqa.weight", {rank + m_.rope_head_dim, m_.n_embd});
        add("attn_kv_a_norm.weight", {rank});
        add("attn_k_b.weight", {m_.n_head, rank, m_.head_dim - m_.rope_head_dim});
        add("attn_v_b.weight", {m_.n_head, m_.v_head_dim, rank});
        add("attn_output.weight", {m_.n_embd, uint64_t{m_.n_head} * m_.v_head_dim});
    }

    void delta_net() {
        const uint64_t v = uint64_t{m_.recurrent_v_heads} * kDeltaNetHeadDim;
        const uint64_t channels = 2ull * kDeltaNetKeyHeads * kDeltaNetHeadDim + v;
        add("attn_qkv.weight", {channels, m_.n_embd});
        add("attn_gate.weight", {v, m_.n_embd});
        add("ssm_conv1d.weight", {channels, kDeltaNetConvolution});
        add("ssm_beta.weight", {m_.recurrent_v_heads, m_.n_embd});
        add("ssm_alpha.weight", {m_.recurrent_v_heads, m_.n_embd});
        add("ssm_a", {m_.recurrent_v_heads});
        add("ssm_dt.bias", {m_.recurrent_v_heads});
        add("ssm_norm.weight", {kDeltaNetHeadDim});
        add("ssm_out.weight", {m_.n_embd, v});
    }

    void feed_forward() {
        const uint64_t n_ff = m_.n_ff;
        if (!t_.no_gate && !t_.fused_gate_up) add("ffn_gate.weight", {n_ff, m_.n_embd});
        add("ffn_up.weight", {t_.fused_gate_up ? 2 * n_ff : n_ff, m_.n_embd});
        add("ffn_down.weight", {m_.n_embd, n_ff});
        if (t_.norm_bias) {
            add("ffn_up.bias", {n_ff});
            add("ffn_down.bias", {m_.n_embd});
        }
    }

    void experts() {
        const uint64_t n = m_.n_expert, n_ff = m_.n_ff_expert, shared = m_.n_ff_shared;
        add("ffn_gate_inp.weight", {n, m_.n_embd});
        add("ffn_gate_exps.weight", {n, n_ff, m_.n_embd});
        add("ffn_up_exps.weight", {n, n_ff, m_.n_embd});
        add("ffn_down_exps.weight", {n, m_.n_embd, n_ff});
        if (m_.arch == "gpt-oss") {
            add("ffn_gate_inp.bias", {n});
            add("ffn_gate_exps.bias", {n, n_ff});
            add("ffn_up_exps.bias", {n, n_ff});
            add("ffn_down_exps.bias", {n, m_.n_embd});
        }
        if (shared > 0) {
            if (m_.arch == "qwen35moe") add("ffn_gate_inp_shexp.weight", {m_.n_embd});
            add("ffn_gate_shexp.weight", {shared, m_.n_embd});
            add("ffn_up_shexp.weight", {shared, m_.n_embd});
            add("ffn_down_shexp.weight", {m_.n_embd, shared});
        }
    }

    const ModelShape& m_;
    const Traits t_;
    std::string prefix_;
    std::vector<TensorShape> tensors_;
};

}  // namespace

Result<void> check_shape(const ModelShape& s, std::string_view where) {
    constexpr uint32_t kMaxHeadDim = 1024, kMaxFeedForward = 1u << 20, kMaxExperts = 4096;
    struct Bound {
        std::string_view name;
        uint64_t found, low, high;
    };
    const uint32_t needs_ff = s.n_expert == 0 ? 1 : 0, has_experts = s.n_expert > 0 ? 1 : 0;
    const auto bounds = std::to_array<Bound>({
        {"layers", s.n_layer, 1, kMaxLayers}, {"width", s.n_embd, 1, kMaxWidth}, {"context", s.n_ctx, 1, kMaxContext},
        {"vocabulary", s.n_vocab, 1, kMaxVocab}, {"head dimension", s.head_dim, 1, kMaxHeadDim}, {"dimension of value heads", s.v_head_dim, 1, kMaxHeadDim},
        {"feed-forward width", s.n_ff, needs_ff, kMaxFeedForward}, {"experts", s.n_expert, 0, kMaxExperts},
        {"experts used by a token", s.n_expert_used, has_experts, s.n_expert}, {"width of an expert", s.n_ff_expert, has_experts, kMaxFeedForward},
        {"width of shared experts", s.n_ff_shared, 0, kMaxFeedForward}, {"window", s.window, 0, kMaxContext},
        {"latent rank of keys and values", s.kv_lora_rank, 0, kMaxWidth}, {"latent rank of queries", s.q_lora_rank, 0, kMaxWidth},
        {"turned dimensions of a head", s.kv_lora_rank > 0 ? s.rope_head_dim : 0, 0, s.head_dim - (s.head_dim > 0 ? 1 : 0)},
        {"head dimension of full layers", s.full_head_dim, 0, kMaxHeadDim}, {"KV heads of full layers", s.full_n_head_kv, 0, kMaxHeads},
        {"value heads of recurrent layers", s.recurrent_v_heads, 0, kMaxHeads},
    });
    for (const Bound& b : bounds) {
        if (b.found < b.low || b.found > b.high) return fail(ErrorCode::corrupt, "{}{}: expected {} .. {}, found {}", where, b.name, b.low, b.high, b.found);
    }
    return check_head_counts(where, s.n_head, s.n_head_kv).map([](const HeadCounts&) {});
}

uint64_t TensorShape::elems() const {
    uint64_t product = 1;
    for (const uint64_t extent : shape) product *= extent;
    return product;
}

std::vector<TensorShape> tensors_of(const ModelShape& model) { return Lister(model).list(); }

bool has_key_bias(const ModelShape& model) { return model.kv_lora_rank == 0 && Traits(model).qkv_bias; }

uint64_t count_parameters(const ModelShape& model) {
    uint64_t sum = 0;
    for (const TensorShape& tensor : tensors_of(model)) {
        if (tensor.name != "rope_freqs.weight") sum += tensor.elems();
    }
    return sum;
}

}  // namespace atlas
