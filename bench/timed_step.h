#pragma once
// Steps of a model in any shape, without a session around them: several tokens of one sequence (verifying a draft), or
// one token of each of several sequences (a batch). For timing: the keys and values before the step are zeros, and no
// logits are read back.

#include <memory>
#include <vector>

#include "runtime/session/cache/kv_layers.h"
#include "runtime/session/cache/state_slots.h"

namespace atlas::bench {

struct StepShape {
    uint32_t n_seqs = 1;
    uint32_t tokens_per_seq = 1;  // every one of them has an output
    uint32_t depth = 0;           // tokens before them in each sequence
    uint32_t n_tokens() const { return n_seqs * tokens_per_seq; }
};

class TimedStep {
  public:
    /// Takes memory for steps up to `largest` in every field. Fails: out_of_memory.
    static Result<std::unique_ptr<TimedStep>> create(const Model& model, const StepShape& largest, KvFormats kv);

    /// Records the step and fills its tables. Requires shape <= largest in every field.
    Result<void> prepare(const StepShape& shape);
    /// Runs it once; may be repeated. Requires prepare().
    Result<void> run();
    /// The recorded step. Requires prepare().
    const Program& program() const { return *program_; }

    /// The logits of output `row` of the last run, [n_vocab].
    std::vector<float> logits(uint32_t row) const;

  private:
    explicit TimedStep(const Model& model) : model_(model) {}
    Result<void> allocate(KvFormats kv);
    static uint32_t n_kept_states(const StepShape& shape);
    std::vector<uint32_t> state_words(const StepShape& shape) const;
    void write_tables(const StepShape& shape);

    const Model& model_;
    StepShape largest_;
    uint32_t pages_per_seq_ = 0;
    std::vector<std::unique_ptr<Storage>> storages_;
    KvLayers kv_;
    StateSlots states_;
    Storage* step_ = nullptr;
    Storage* pages_ = nullptr;
    Storage* output_ = nullptr;
    std::unique_ptr<Program> program_;
};

}  // namespace atlas::bench
