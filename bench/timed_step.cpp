#include "bench/timed_step.h"

#include "runtime/ops/dry_ops.h"

namespace atlas::bench {

Result<std::unique_ptr<TimedStep>> TimedStep::create(const Model& model, const StepShape& largest, KvFormats kv) {
    std::unique_ptr<TimedStep> runner(new TimedStep(model));
    runner->largest_ = largest;
    runner->pages_per_seq_ = pages_for(largest.depth + largest.tokens_per_seq);
    ATLAS_TRY_VOID(runner->allocate(kv));
    return runner;
}

Result<void> TimedStep::allocate(KvFormats kv) {
    Backend& backend = model_.backend();
    const ModelConfig& config = model_.config();
    const uint32_t n_rows = pages_per_seq_ * kPageTokens * largest_.n_seqs;
    const auto take = [&](MemoryUse use, uint64_t bytes, const char* name) -> Result<Storage*> {
        ATLAS_TRY(storages_.emplace_back(), backend.allocate(use, bytes, name));
        return storages_.back().get();
    };
    ATLAS_TRY(kv_, KvLayers::create(backend, config, {n_rows, n_rows}, kv, "bench"));
    ATLAS_TRY(states_, StateSlots::create(backend, config, 1 + largest_.n_seqs * n_kept_states(largest_), 0));
    ATLAS_TRY(step_, take(MemoryUse::step, step_buffer_bytes(largest_.n_tokens(), largest_.n_seqs), "bench step"));
    ATLAS_TRY(pages_, take(MemoryUse::step, 4ull * pages_per_seq_ * largest_.n_seqs, "bench pages"));
    ATLAS_TRY(output_, take(MemoryUse::output, 4ull * largest_.n_tokens() * config.n_vocab, "bench logits"));
    return {};
}

// A sequence of few tokens is a verify step: the states after all of its tokens are kept.
uint32_t TimedStep::n_kept_states(const StepShape& shape) {
    return shape.tokens_per_seq <= kBatchInvariantWidth ? shape.tokens_per_seq : 1;
}

// All sequences go on from the state before the first token.
std::vector<uint32_t> TimedStep::state_words(const StepShape& shape) const {
    std::vector<uint32_t> words(shape.n_seqs, StateSlots::kStart);
    uint32_t slot = StateSlots::kStart;
    for (uint32_t t = 0; t < shape.n_tokens(); ++t) {
        const bool kept = t % shape.tokens_per_seq + n_kept_states(shape) >= shape.tokens_per_seq;
        words.push_back(kept ? ++slot : StateSlots::kNone);
    }
    return words;
}

// Sequence s owns the pages s * pages_per_seq .. of the cache.
void TimedStep::write_tables(const StepShape& shape) {
    const uint32_t n_tokens = shape.n_tokens();
    std::vector<uint32_t> words(5ull * n_tokens), table(uint64_t{pages_per_seq_} * largest_.n_seqs);
    for (uint32_t t = 0; t < n_tokens; ++t) {
        const uint32_t seq = t / shape.tokens_per_seq, position = shape.depth + t % shape.tokens_per_seq;
        words[t] = (t * 7919 + 1) % model_.config().n_vocab;
        words[n_tokens + t] = position;
        words[2 * n_tokens + t] = seq * pages_per_seq_ * kPageTokens + position;
        words[3 * n_tokens + t] = seq;
        words[4 * n_tokens + t] = t;
    }
    for (uint32_t i = 0; i < table.size(); ++i) table[i] = i;
    const uint32_t all_positions = UINT32_MAX;  // read by steps of one sequence
    model_.backend().write(*step_, 0, std::as_bytes(std::span(words)));
    model_.backend().write(*step_, shared_positions_at(largest_.n_tokens()),
                           std::as_bytes(std::span(&all_positions, 1)));
    model_.backend().write(*pages_, 0, std::as_bytes(std::span(table)));
    const std::vector<uint32_t> states = state_words(shape);
    model_.backend().write(*step_, states_at(largest_.n_tokens()), std::as_bytes(std::span(states)));
}

Result<void> TimedStep::prepare(const StepShape& shape) {
    ATLAS_CHECK(shape.n_seqs <= largest_.n_seqs && shape.depth + shape.tokens_per_seq <= pages_per_seq_ * kPageTokens &&
                    shape.n_tokens() <= largest_.n_tokens(),
                "a step of {} x {} tokens after {}", shape.n_seqs, shape.tokens_per_seq, shape.depth);
    const uint32_t n_tokens = shape.n_tokens();
    const auto view = [&](uint64_t array) { return U32View{step_, array * n_tokens * 4, n_tokens}; };
    StepViews views{view(0), view(1), view(2), view(3), {pages_, 0, pages_per_seq_ * largest_.n_seqs}, view(4)};
    views.window_slots = views.slots;  // windows have as many rows as other layers here
    views.window_table = views.page_table;
    views.max_pages = pages_per_seq_;
    views.max_kv_tokens = shape.depth + shape.tokens_per_seq;
    if (shape.n_seqs == 1) views.shared_positions = {step_, shared_positions_at(largest_.n_tokens()), 1};
    const uint64_t states = states_at(largest_.n_tokens());
    views.state_before = {step_, states, shape.n_seqs};
    views.state_after = {step_, states + 4ull * shape.n_seqs, n_tokens};
    const Tensor out = dense(*output_, Format::f32, n_tokens, model_.config().n_vocab);
    const auto pass = [&](Ops& ops) {
        model_.architecture().forward({model_.config(), model_.weights(), kv_.views(), views, out, states_.layers()},
                                      ops);
    };
    DryOps counted;
    pass(counted);
    Backend& backend = model_.backend();
    ATLAS_TRY_VOID(backend.reserve_scratch(counted.counts().scratch_peak_bytes));
    ATLAS_TRY(program_, backend.record(fmt::format("bench step of {} x {}", shape.n_seqs, shape.tokens_per_seq), pass));
    write_tables(shape);
    return {};
}

Result<void> TimedStep::run() {
    ATLAS_CHECK(program_ != nullptr, "run() before prepare()");
    return model_.backend().run(*program_);
}

std::vector<float> TimedStep::logits(uint32_t row) const {
    std::vector<float> values(model_.config().n_vocab);
    model_.backend().read(*output_, 4ull * row * values.size(), std::as_writable_bytes(std::span(values)));
    return values;
}

}  // namespace atlas::bench
