#pragma once
// A model as the catalogue knows it: the numbers that give every tensor's shape, without a file. For many more architectures than this
// build can run, because people ask what would fit before they ask what runs.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"

namespace atlas {

struct ModelShape {
    std::string id;    // "qwen2.5-coder-14b-instruct"
    std::string arch;  // GGUF's general.architecture
    std::vector<std::string> aliases;
    uint64_t parameters = 0;  // as published, of the text model

    uint32_t n_layer = 0;
    uint32_t n_embd = 0;
    uint32_t n_head = 0;
    uint32_t n_head_kv = 0;
    uint32_t head_dim = 0;    // of q and k
    uint32_t v_head_dim = 0;  // of v
    uint32_t n_ff = 0;
    uint32_t n_vocab = 0;
    uint32_t n_ctx = 0;  // native context in tokens
    bool tied = false;   // the output matrix is the embedding
    bool fitted_cache = false;  // its file has matrices that turn keys and values (atlas-vk fit-cache)
    double key_bias_left = 0;   // see runtime/planner/cache_loss.h; infinite: its keys have biases that nobody looked at

    // Mixture of experts; n_expert 0: none.
    uint32_t n_expert = 0;
    uint32_t n_expert_used = 0;
    uint32_t n_ff_expert = 0;
    uint32_t n_ff_shared = 0;
    uint32_t n_dense_layers = 0;  // the first layers without experts

    // Sliding windows: layer il sees everything if il % full_every == full_every - 1, else `window` tokens. full_every 0: all see everything.
    uint32_t window = 0;
    uint32_t full_every = 0;
    uint32_t full_head_dim = 0;   // where layers that see everything have other heads
    uint32_t full_n_head_kv = 0;

    // Recurrent layers (gated delta nets): all but every recurrent_full_every-th.
    uint32_t recurrent_full_every = 0;
    uint32_t recurrent_v_heads = 0;
    uint64_t recurrent_bytes = 0;  // state of one sequence

    // Multi-head latent attention: what is cached is one vector of kv_lora_rank + rope_head_dim per layer.
    uint32_t kv_lora_rank = 0;
    uint32_t q_lora_rank = 0;
    uint32_t rope_head_dim = 0;

    bool rope_factors = false;  // a tensor of head_dim / 2 factors
    bool qkv_bias = true;       // where the architecture has one at all
    std::string approximate;    // not empty: why tensors are not exact

    bool is_recurrent(uint32_t il) const { return recurrent_full_every > 0 && il % recurrent_full_every != recurrent_full_every - 1; }
    bool is_windowed(uint32_t il) const { return full_every > 0 && il % full_every != full_every - 1; }
    bool has_experts(uint32_t il) const { return n_expert > 0 && il >= n_dense_layers; }
};

/// Whether the numbers can be one decoder's: within the bounds of runtime/model/limits.h and fitting together. Whoever makes a shape, from a file or
/// from a catalogue, asks here. `where` begins every message. Fails: corrupt.
Result<void> check_shape(const ModelShape& shape, std::string_view where);

struct TensorShape {
    std::string name;             // GGUF's
    std::vector<uint64_t> shape;  // outermost first
    uint64_t elems() const;
};

/// Every tensor of the model's GGUF file, in no particular order. Source: the tensor tables of GGUF's architectures; that the elements sum up
/// to the published parameter count is tested for every model of the catalogue.
std::vector<TensorShape> tensors_of(const ModelShape& model);

/// Whether keys have a bias.
bool has_key_bias(const ModelShape& model);

/// Elements of all tensors but rope factors: what "14.8B parameters" counts.
uint64_t count_parameters(const ModelShape& model);

}  // namespace atlas
