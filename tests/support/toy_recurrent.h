#pragma once
// The smallest model whose layer has a state instead of keys and values: s = s / 2 + x after every token, and x + s
// goes on. Computed by the oracle alone.

#include "runtime/model/common_weights.h"
#include "runtime/model/dense_decoder.h"
#include "runtime/model/load.h"
#include "tests/reference/ref_ops.h"

namespace atlas::testing {

/// Reads a file of architecture llama: its embeddings, last norm and output matrix.
inline Result<ModelConfig> read_toy_config(const KeySource& keys) {
    ATLAS_TRY(ModelConfig config, read_dense_decoder(keys, RopeParams::Pairing::adjacent));
    config.layers.resize(1);
    config.layers[0].mixer = Mixer::delta_net;  // its state here: a row of n_embd numbers and unused ones
    config.layers[0].delta_net = {.n_k_heads = 1, .n_v_heads = 1, .head_dim = config.n_embd, .conv_width = 1};
    return config;
}

/// The layer itself, where the pass is computed at once. A token at the position of the one before repeats it: it
/// changes no state.
inline void run_toy_layer(const ForwardInputs& in, const Tensor& x) {
    const auto positions = read_u32(in.step.positions), seqs = read_u32(in.step.seqs);
    const auto before = read_u32(in.step.state_before), after = read_u32(in.step.state_after);
    std::vector<float> state;
    for (uint32_t t = 0; t < x.rows; ++t) {
        const bool is_first = t == 0 || seqs[t] != seqs[t - 1];
        if (is_first) state = read_row(in.states[0], before[seqs[t]]);
        std::vector<float> row = read_row(x, t);
        const bool repeats = !is_first && positions[t] == positions[t - 1];
        for (size_t i = 0; i < row.size(); ++i) {
            if (!repeats) state[i] = 0.5f * state[i] + row[i];
            row[i] += state[i];
        }
        write_row(x, t, row);
        if (after[t] != StepViews::kNoState) write_row(in.states[0], after[t], state);
    }
}

inline void forward_toy(const ForwardInputs& in, Ops& ops) {
    const ScratchScope scope(ops);
    const uint32_t n_tokens = in.step.tokens.count, n_outputs = in.step.out_rows.count, n_embd = in.config.n_embd;
    Tensor x = ops.scratch(n_tokens, n_embd, "x");
    ops.get_rows(in.weights[kTokenEmbd], in.step.tokens, x);
    if (dynamic_cast<RefOps*>(&ops) != nullptr) run_toy_layer(in, x);
    if (n_outputs == 0) return;
    if (n_outputs < n_tokens) {
        const Tensor wanted = ops.scratch(n_outputs, n_embd, "wanted");
        ops.get_rows(x, in.step.out_rows, wanted);
        x = wanted;
    }
    const Tensor h = ops.scratch(n_outputs, n_embd, "h");
    ops.rms_norm(x, in.weights[kOutputNorm], in.config.norm_eps, h);
    ops.matmul(in.weights[kOutput], h, in.logits);
}

inline const Architecture kToyRecurrent = {
    .name = "toy_recurrent",
    .read_config = read_toy_config,
    .model_weights = model_weights,
    .layer_weights =
        [](const ModelConfig&, const LayerConfig&) {
            return join_rules({attention_weights(), {norm_weight(kFfnNorm)}, gated_feed_forward_weights()});
        },
    .forward = forward_toy,
};

}  // namespace atlas::testing
