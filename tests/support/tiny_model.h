#pragma once
// Random models small enough for the slow oracle, with sizes that no tile divides. The same seed gives the same bytes
// everywhere.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "quant/format.h"
#include "runtime/gguf/writer.h"

namespace atlas::testing {

struct TinyShape {
    std::string architecture = "llama";
    uint32_t n_layer = 2;
    uint32_t n_head = 3;
    uint32_t n_head_kv = 1;
    uint32_t head_dim = 24;
    uint32_t n_ff = 160;
    uint32_t n_vocab = 97;
    uint32_t n_ctx_train = 256;
    uint32_t n_embd = 96;         // need not be n_head * head_dim: attention.key_length is written
    Format format = Format::f32;  // of all matrices
    bool experts = false;         // of a family whose models may have them
    bool biases = false;          // attn_q/k/v, attn_output (llama), ffn (llama)
    bool tied = false;            // no output.weight
    bool rope_freqs = false;      // llama3-like factors
    std::string rope_scaling;     // "", "linear", "yarn", "longrope"
    float rope_factor = 4.0f;
    uint64_t seed = 1;
    /// Called last: tests add or damage keys and tensors.
    std::function<void(gguf::Writer&)> more;
    /// Replaces a key's number instead of the right one: {"llama.attention.head_count_kv", 2}.
    std::vector<std::pair<std::string, uint32_t>> override_keys;
    /// Tensors to leave out, and one to write with other shape.
    std::vector<std::string> leave_out;
    std::string reshape;
};

/// The shape that words describe: "llama q4_0 biases tied rope_freqs linear". First the architecture, then any of: a
/// format, biases, tied, rope_freqs, linear, yarn, longrope, whole (rows of whole 32 blocks), super (of whole 256
/// blocks), experts, wide (the same, larger, 64-wide heads). Aborts on another word.
TinyShape tiny_shape(std::string_view words);

/// Matrices have variance 1/n_in and norms are near 1, so that activations keep their size; embeddings are large enough
/// that softmax and logits are far from flat.
void write_tiny_model(const std::filesystem::path& path, const TinyShape& shape);

/// Uniform numbers in [0, 1), the same on every platform.
class TinyRandom {
  public:
    explicit TinyRandom(uint64_t seed) : state_(seed) {}
    double uniform();
    /// Sum of four uniforms, scaled to variance 1: bell-shaped without a library's own arithmetic.
    double bell();

  private:
    uint64_t state_;
};

/// `count` random token ids.
std::vector<uint32_t> tiny_tokens(uint32_t count, uint32_t n_vocab, uint64_t seed);

}  // namespace atlas::testing
