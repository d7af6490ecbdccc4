#pragma once
// The inputs of a forward pass. The pass itself is a plain function per architecture, written on Ops.

#include <span>

#include "runtime/model/config.h"
#include "runtime/model/weights.h"
#include "runtime/ops/ops.h"

namespace atlas {

/// Everything that changes from run to run; views into step storages. n_tokens = tokens.count.
struct StepViews {
    U32View tokens;     // [n_tokens] ids
    U32View positions;  // [n_tokens]
    U32View slots;      // [n_tokens] cache rows to write
    U32View seqs;       // [n_tokens] rows of the page table
    U32View page_table;
    // [n_outputs] tokens of the step whose logits are requested, ascending; as many as tokens: all of them; 0: none.
    U32View out_rows;
    // The same for layers with a window, whose caches have other rows: slots and page table. Entries of pages that no
    // window sees are undefined, but in the cache.
    U32View window_slots = {};
    U32View window_table = {};
    uint32_t max_pages = 0;
    uint32_t max_kv_tokens = 0;
    U32View shared_positions = {};  // [1], see AttentionTables
    // For layers with a state, rows of ForwardInputs::states. Tokens of a sequence follow each other; one at the
    // position of the one before repeats it and changes no state.
    U32View state_before = {};  // [sequences]
    U32View state_after = {};   // [n_tokens] where to write what the layer keeps after this token; kNoState: nowhere
    static constexpr uint32_t kNoState = UINT32_MAX;

    /// Of a layer with this window (0: none).
    const U32View& slots_for(uint32_t window) const { return window > 0 ? window_slots : slots; }
    const U32View& table_for(uint32_t window) const { return window > 0 ? window_table : page_table; }
};

struct ForwardInputs {
    const ModelConfig& config;
    const Weights& weights;
    std::span<const KvLayer> kv;  // [n_layer]
    StepViews step;
    Tensor logits;                        // f32 [n_outputs, n_vocab]; empty when no output is requested
    std::span<const Tensor> states = {};  // [n_layer] f32 [slots, state_bytes / 4]; empty for layers without a state
};

/// Records one step: writes the K and V of its tokens and the logits of its outputs.
using Forward = void (*)(const ForwardInputs& inputs, Ops& ops);

}  // namespace atlas
