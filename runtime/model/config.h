#pragma once
// The numbers that shape a model, read from its GGUF keys and checked: whoever holds a ModelConfig may trust it.

#include <cstdint>
#include <string>

#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"
#include "runtime/ops/ops.h"

namespace atlas {

struct ModelConfig {
    std::string architecture;  // "llama"
    std::string name;          // general.name, for people; may be empty

    uint32_t n_layer = 0;
    uint32_t n_embd = 0;
    uint32_t n_head = 0;
    uint32_t n_head_kv = 0;  // divides n_head
    uint32_t head_dim = 0;   // a multiple of 8, at most 256
    uint32_t n_ff = 0;
    uint32_t n_vocab = 0;      // rows of token_embd.weight
    uint32_t n_ctx_train = 0;  // positions the model was trained (or extended) for

    float rms_eps = 0;
    float attention_scale = 0;
    RopeParams rope;

    uint32_t q_width() const { return n_head * head_dim; }
    uint32_t kv_width() const { return n_head_kv * head_dim; }
};

/// Reads the keys that llama-like decoders share ("<architecture>.block_count" ...).
/// Fails: not_found (a required key), corrupt (a value out of its bounds: names key, expected and found), unsupported (mixture of experts,
/// heads that differ from layer to layer, an unknown rope scaling).
Result<ModelConfig> read_decoder_config(const gguf::File& file, RopeParams::Pairing pairing);

}  // namespace atlas
