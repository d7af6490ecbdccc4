#pragma once
// Quantization recipes: which format every tensor of a model gets in a Q4_K_M, a Q3_K_L ... file. The choices are those
// of llama-quantize 0.7.0, so that our files have the size and the name that users know; tests/golden/quant/mixes.txt
// holds them.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "quant/format.h"

namespace atlas {

/// The layers (or models) whose tensor of some kind gets a better format than the others.
enum class Favoured : uint8_t {
    none,
    first_2,
    first_4,
    first_sixteenth,  // of all layers, rounded down
    first_eighth,
    first_eighth_if_importance,
    first_eighth_unless_importance,
    ends_and_every_third,  // the first and the last eighth, and every third layer between
    grouped_query,         // all of them, in models with 4 or more query heads per KV head
};

/// Formats of one kind of tensor.
struct LayerRule {
    Favoured favoured;
    Format better;  // of the favoured layers
    Format usual;   // of the others
};

struct Recipe {
    std::string_view name;  // "Q4_K_M"
    uint32_t file_type;     // GGUF's general.file_type
    Format base;            // of all tensors without a rule of their own
    LayerRule attn_value;   // attn_v, attn_qkv, attn_kv_b
    LayerRule ffn_down;     // also ffn_down_exps, ffn_down_shexp
    Format attn_output;
    Format attn_output_experts8;  // in models of exactly 8 experts
    Format experts;               // of matrices stacked by expert, where this is not `base`
};

/// All recipes, smallest file type number first.
std::span<const Recipe> recipes();
/// By name in any case ("q4_k_m"), or null.
const Recipe* find_recipe(std::string_view name);

/// What a recipe needs to know of a model.
struct MixModel {
    uint32_t n_layer = 0;
    uint32_t n_gqa = 1;  // query heads per KV head
    uint32_t n_expert = 0;
    bool tied_output = false;     // no output.weight: token_embd is the output matrix too
    bool has_importance = false;  // the quantizer is given an importance matrix
};

/// The format of a tensor, or nothing for those that stay as they are stored (norms, biases, routers, convolutions:
/// single precision in files).  `shape`: outermost first, as in gguf::TensorInfo. The layer is taken from the name
/// ("blk.7.attn_v.weight"); rules by layer assume that every layer has such a tensor.
std::optional<Format> format_in(const Recipe& recipe, const MixModel& model, std::string_view name,
                                std::span<const uint64_t> shape);

}  // namespace atlas
