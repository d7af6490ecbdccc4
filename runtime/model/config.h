#pragma once
// The numbers that shape a model, layer by layer, read from its keys and checked: users of a ModelConfig need not check
// it again.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/ops/ops.h"

namespace atlas {

/// How a layer lets a token see the ones before it.
enum class Mixer {
    attention,         // keys and values of every head
    latent_attention,  // one vector per token from which keys and values are made (DeepSeek-V2, arXiv:2405.04434)
    delta_net,         // a recurrent state of fixed size (gated delta net, arXiv:2412.06464)
    short_conv,        // a convolution over the last few tokens (LFM2)
    state_space,       // a recurrent state of fixed size (Mamba-2, arXiv:2405.21060)
    none,              // the layer has a feed-forward block alone
};

/// A feed-forward block of experts; n 0: it is dense.
struct ExpertsConfig {
    uint32_t n = 0;
    uint32_t n_ff = 0;         // width of one
    uint32_t n_ff_shared = 0;  // of those that every token uses
    uint32_t n_latent = 0;     // what the routed ones read and give instead of the activations; 0: those
    RoutingParams routing;

    uint32_t width(uint32_t n_embd) const { return n_latent > 0 ? n_latent : n_embd; }
};

struct LatentConfig {
    uint32_t kv_rank = 0;
    uint32_t q_rank = 0;    // 0: queries come from the activations directly
    uint32_t rope_dim = 0;  // dimensions of a head that carry the position; cached once for all heads
};

struct DeltaNetConfig {
    uint32_t n_k_heads = 0;
    uint32_t n_v_heads = 0;
    uint32_t head_dim = 0;
    uint32_t conv_width = 0;
    bool grouped = false;  // see DeltaNetParams

    uint32_t v_width() const { return n_v_heads * head_dim; }
    uint32_t channels() const { return 2 * n_k_heads * head_dim + v_width(); }  // of the convolution
    // A sequence's state: the convolution's, then the heads' matrices.
    uint32_t conv_state() const { return (conv_width - 1) * channels(); }
    uint32_t head_states() const { return v_width() * head_dim; }
};

struct ShortConvConfig {
    uint32_t width = 0;
    uint32_t channels = 0;

    uint32_t state() const { return (width - 1) * channels; }  // a sequence's, in numbers
};

struct StateSpaceConfig {
    uint32_t n_heads = 0;
    uint32_t n_groups = 0;
    uint32_t n_state = 0;
    uint32_t head_dim = 0;
    uint32_t conv_width = 0;

    uint32_t width() const { return n_heads * head_dim; }
    uint32_t channels() const { return width() + 2 * n_groups * n_state; }  // of the convolution
    // A sequence's state: the convolution's, then the heads' matrices.
    uint32_t conv_state() const { return (conv_width - 1) * channels(); }
    uint32_t head_states() const { return width() * n_state; }
};

/// What a layer keeps of the tokens before. Everything that plans, allocates, copies or saves a cache reads this.
struct CacheShape {
    // Elements per token, and the size of the heads that they are made of: blocks of a format must divide it. 0:
    // nothing. Values of width 0 beside keys are a view of the keys.
    uint32_t k_width = 0, k_head = 0;
    uint32_t v_width = 0, v_head = 0;
    uint32_t window = 0;       // tokens that a token sees, itself included; 0: all
    uint64_t state_bytes = 0;  // of one sequence, whatever its length
};

struct LayerConfig {
    Mixer mixer = Mixer::attention;
    uint32_t n_head = 0;
    uint32_t n_head_kv = 0;   // divides n_head
    uint32_t head_dim = 0;    // of queries and keys
    uint32_t v_head_dim = 0;  // of values
    uint32_t window = 0;      // as CacheShape::window
    RopeParams rope;
    bool rope_factors = true;          // whether the file's rope_freqs count
    std::optional<uint32_t> kv_layer;  // whose keys and values it reads; none: its own
    LatentConfig latent;
    DeltaNetConfig delta_net;
    ShortConvConfig short_conv;
    StateSpaceConfig state_space;
    uint32_t n_ff = 0;  // of a dense feed-forward block
    ExpertsConfig experts;

    uint32_t q_width() const { return n_head * head_dim; }
    uint32_t k_width() const { return n_head_kv * head_dim; }
    uint32_t v_width() const { return n_head_kv * v_head_dim; }
    CacheShape cache() const;
};

enum class Norm { rms, layer };

/// Queries grow with their position, see Ops::scale_by_position; beta 0: they do not.
struct QueryTemperature {
    float beta = 0;
    uint32_t n_ctx = 0;
};

struct ModelConfig {
    std::string architecture;  // "llama"
    std::string name;          // general.name, for display; may be empty

    uint32_t n_embd = 0;
    uint32_t n_vocab = 0;      // rows of token_embd.weight
    uint32_t n_ctx_train = 0;  // positions the model was trained (or extended) for
    float norm_eps = 0;
    Norm norm = Norm::rms;
    Activation activation = Activation::silu;  // of dense feed-forward blocks
    float attention_scale = 0;
    float attention_softcap = 0;  // see AttentionParams
    QueryTemperature query_temperature;
    float embedding_scale = 1;        // multiplies the rows of token_embd
    float residual_scale = 1;         // multiplies what each block adds
    float logit_scale = 1;            // multiplies the logits
    float logit_softcap = 0;          // c: logits become c * tanh(logit / c), after the scale; 0: off
    std::vector<LayerConfig> layers;  // at least one
    uint32_t n_per_layer = 0;         // width of what a token adds to each layer by a table of its own; 0: nothing
    uint32_t per_layer_width = 0;     // of all layers together, also where a plan looks at some of them
    uint32_t n_draft_layers = 0;      // that a file has after them to draft tokens with; they are not loaded

    uint32_t n_layer() const { return static_cast<uint32_t>(layers.size()); }
};

/// The widest window of its layers; 0: none has one.
uint32_t widest_window(const ModelConfig& config);

/// Whether a cache of these formats can hold every layer's heads: whole blocks.
bool fits_heads(const KvFormats& kv, const ModelConfig& config);

}  // namespace atlas
