#pragma once
// The tensors of a model and the tables that name them. An architecture's table is the only place where its tensor names and shapes stand.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/gguf/reader.h"
#include "runtime/model/config.h"
#include "runtime/ops/tensor.h"

namespace atlas {

/// Tensors of one layer, GGUF's names. Empty where the file has none.
struct LayerWeights {
    Tensor attn_norm;
    Tensor attn_q, attn_k, attn_v, attn_output;
    Tensor attn_q_bias, attn_k_bias, attn_v_bias, attn_output_bias;
    Tensor cache_turn_k, cache_turn_k_shift, cache_turn_q, cache_turn_k_feedback, cache_turn_v, cache_turn_v_back, cache_turn_v_feedback;  // ours, see runtime/model/cache_turn.h
    Tensor key_shift;  // made of attn_k_bias, see runtime/model/key_shift.h
    Tensor ffn_norm;
    Tensor ffn_gate, ffn_up, ffn_down;
    Tensor ffn_gate_bias, ffn_up_bias, ffn_down_bias;
};

struct Weights {
    Tensor token_embd;   // [n_vocab, n_embd]
    Tensor output_norm;  // [1, n_embd]
    Tensor output;       // [n_vocab, n_embd]; token_embd again when the file has none
    Tensor output_bias;
    Tensor rope_freqs;  // [1, n_rot / 2]: factors that divide the angles
    std::vector<LayerWeights> layers;
};

enum class Need { required, optional };

/// What becomes of "<tensor>.scale", a factor that some writers put beside "<tensor>.weight" (quantizers to 4-bit floats; test models).
enum class Scale {
    refused,  // the file cannot be used when it has one
    folded,   // multiplies every element at load; f32 tensors only
    unused,   // the reference implementation of this architecture does not apply it either
};

/// What a weight holds of its tensor.
enum class Content {
    as_stored,
    key_shift,  // of a bias of keys: what runtime/model/key_shift.h makes of it, f32
};

/// How long a side of a tensor is. nullptr as `rows`: a vector, which becomes one f32 row whatever the file stores.
using Extent = uint32_t (*)(const ModelConfig&);

struct ModelWeightRule {
    std::string_view name;  // "output.weight"
    Need need;
    Extent rows;
    Extent cols;
    Tensor Weights::*slot;
};

struct LayerWeightRule {
    std::string_view name;  // behind "blk.<layer>.": "attn_q.weight"
    Need need;
    Extent rows;
    Extent cols;
    Tensor LayerWeights::*slot;
    Scale scale = Scale::refused;
    Content content = Content::as_stored;
};

struct WeightTable {
    std::span<const ModelWeightRule> model;
    std::span<const LayerWeightRule> layer;
};

/// One tensor of the file with its place in Weights.
struct ResolvedWeight {
    const gguf::TensorInfo* source = nullptr;
    Format format = Format::f32;  // on the device
    Layout layout = Layout::blocks;
    uint32_t rows = 0;
    uint32_t cols = 0;
    float scale = 1.0f;  // multiplies every element at load
    Content content = Content::as_stored;
    uint32_t layer = 0;
    Tensor Weights::*model_slot = nullptr;  // one of the two is set
    Tensor LayerWeights::*layer_slot = nullptr;

    uint64_t bytes() const { return stored_bytes(format, layout, uint64_t{rows} * cols); }
    Tensor& slot(Weights& weights) const {
        return model_slot != nullptr ? weights.*model_slot : weights.layers[layer].*layer_slot;
    }
};

/// Finds every tensor of the table in the file and checks type and shape. `can_read`: which formats the backend's kernels know.
/// Fails: not_found (a required tensor), corrupt (wrong shape: expected and found), unsupported (a format; a tensor that no rule names, because
/// leaving it out would compute something else).
Result<std::vector<ResolvedWeight>> resolve_weights(const gguf::File& file, const WeightTable& table, const ModelConfig& config,
                                                    const std::function<bool(Format)>& can_read);

/// The same from a list of tensors without a file behind it, for planning: shapes and formats count, ".scale" tensors are not looked at.
/// The list must outlive the result's `source` pointers.
Result<std::vector<ResolvedWeight>> resolve_tensors(std::span<const gguf::TensorInfo> tensors, const WeightTable& table,
                                                    const ModelConfig& config, const std::function<bool(Format)>& can_read);

/// Puts a tensor view into every slot; `make` gives the view of one weight. Ties the output to the embedding where the file has no own.
Weights assemble_weights(const ModelConfig& config, std::span<const ResolvedWeight> resolved,
                         const std::function<Tensor(const ResolvedWeight&)>& make);

uint64_t total_bytes(std::span<const ResolvedWeight> resolved);

}  // namespace atlas
