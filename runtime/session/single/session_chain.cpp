// Steps whose token the device chooses, one step ahead of what the host has read.
#include <algorithm>
#include <cmath>

#include "runtime/session/single/session.h"

namespace atlas {

namespace {

using namespace sampling;

constexpr uint64_t kParamsAtBytes = 64;
constexpr uint64_t kHistoryAtBytes = 256;
constexpr uint64_t kResultStrideBytes = kChainResultBytes / 2;
constexpr uint32_t kMostLogits = 1u << 20;  // limit of the sample operation

}  // namespace

bool Session::can_choose(const SamplerOptions& options) const {
    return model_->config().n_vocab <= kMostLogits &&
           (!has_penalties(options) || options.penalty_window <= kMaxHistory);
}

// The token comes from the previous choice, everything else from the host.
StepViews Session::chain_views(const StepKey& key) const {
    Storage* words = chain_.steps[key.chain - 1].get();
    const auto word = [words](uint64_t i) { return U32View{words, i * sizeof(uint32_t), 1}; };
    StepViews views{{chain_.state.get(), 0, 1},
                    word(0),
                    word(1),
                    word(2),
                    {page_table_storage_.get(), 0, pages_.n_pages()},
                    word(3)};
    views.max_pages = pages_.n_pages();
    views.max_kv_tokens = key.max_kv_tokens;
    return views;
}

SampleTables Session::choice_tables(const StepKey& key) const {
    const uint32_t buffer = key.chain - 1;
    SampleTables tables;
    tables.params = {chain_.steps[buffer].get(), kParamsAtBytes, kParamWords};
    if (key.n_history > 0) tables.history = {chain_.state.get(), kHistoryAtBytes, kHistoryHead + key.n_history};
    tables.next_tokens = {chain_.state.get(), 0, 1};
    tables.results = {chain_.results.get(), buffer * kResultStrideBytes, kResultWords};
    return tables;
}

void Session::record_choice(const StepKey& key, Ops& ops) const {
    const Tensor rows = dense(*output_storage_, Format::f32, key.n_outputs, model_->config().n_vocab);
    ops.label("sample");
    ops.sample(rows.row_range(key.n_outputs - 1, 1), choice_tables(key));
}

Result<void> Session::start_choosing(const Sampler& sampler, bool logprobs) {
    ATLAS_CHECK(has_logits_ && !chain_.active && can_choose(sampler.options()),
                "start_choosing() without logits, twice, or with such options");
    const auto params = sample_params(sampler.options(), 0, true, logprobs);
    std::copy(params.begin(), params.end(), chain_.words.begin() + 16);
    chain_.draw = sampler.n_draws();
    chain_.buffer = 1;
    chain_.n_history = has_penalties(sampler.options()) ? sampler.options().penalty_window : 0;
    chain_.stepped = false;
    if (chain_.n_history > 0) {
        std::vector<uint32_t> history = {0, 0};
        const auto seen = sampler.history();
        history.insert(history.end(), seen.begin(), seen.end());
        history[0] = static_cast<uint32_t>(seen.size());
        history[1] = history[0] % chain_.n_history;
        model_->backend().write(*chain_.state, kHistoryAtBytes, std::as_bytes(std::span(history)));
    }
    chain_.active = true;
    has_logits_ = false;
    const Result<void> submitted = submit_choice(0);
    chain_.active = submitted.has_value();
    return submitted;
}

// A step of the token that was chosen last (or none) and the next choice, on the other buffer.
Result<void> Session::submit_choice(uint32_t n_tokens) {
    Backend& backend = model_->backend();
    const uint32_t buffer = 1 - chain_.buffer;
    const auto n_past = static_cast<uint32_t>(tokens_.size());
    StepKey key{n_tokens, n_tokens > 0 ? 1 : n_logit_rows_, 0, buffer + 1, chain_.n_history};
    if (n_tokens > 0) key.max_kv_tokens = kv_bucket(n_past + n_tokens);
    ATLAS_TRY(Program * program, program_for(key));
    if (n_tokens > 0) {
        extend_pages(n_past + n_tokens);
        chain_.words[0] = n_past;
        chain_.words[1] = page_table_[n_past / kPageTokens] * kPageTokens + n_past % kPageTokens;
    }
    chain_.words[16 + kParamDraw] = static_cast<uint32_t>(chain_.draw);
    chain_.words[16 + kParamDraw + 1] = static_cast<uint32_t>(chain_.draw >> 32);
    backend.write(*chain_.steps[buffer], 0, std::as_bytes(std::span(chain_.words)));
    ATLAS_TRY(chain_.ticket, backend.submit(*program));
    chain_.buffer = buffer;
    chain_.pending = true;
    ++chain_.draw;
    return {};
}

Result<Choice> Session::next_choice(bool go_on) {
    ATLAS_CHECK(chain_.active && chain_.pending, "next_choice() with no choice running");
    const uint32_t buffer = chain_.buffer;
    const uint64_t ticket = chain_.ticket;
    chain_.stepped = false;
    const bool ahead = go_on && tokens_.size() < plan_.n_ctx;
    if (ahead) ATLAS_TRY_VOID(submit_choice(1));
    auto done = model_->backend().wait(ticket);
    if (!done) return tl::unexpected(std::move(done).error());
    ATLAS_TRY(const Choice choice, read_choice(buffer));
    if (ahead) tokens_.push_back(choice.token);
    chain_.stepped = ahead;
    chain_.pending = ahead;
    return choice;
}

Result<Choice> Session::read_choice(uint32_t buffer) {
    std::array<uint32_t, kResultWords> result{};
    model_->backend().read(*chain_.results, buffer * kResultStrideBytes, std::as_writable_bytes(std::span(result)));
    return choice_of(result);
}

Result<Choice> Session::choice_of(std::span<const uint32_t> result) const {
    if (result[kResultStatus] != kChosen || result[kResultId] >= model_->config().n_vocab) {
        return tl::unexpected(
            damaged_logits(result[kResultStatus], result[kResultId], result[kResultRank], model_->config().n_vocab));
    }
    Choice choice{result[kResultId], 0};
    const uint64_t sum = (uint64_t{result[kResultSum + 1]} << 32) | result[kResultSum];
    if (sum > 0) {
        choice.logprob = double{logit_of(result[kResultRank])} - double{logit_of(result[kResultBest])} -
                         std::log(double(sum) * 0x1p-31);
    }
    return choice;
}

void Session::stop_choosing() {
    if (!chain_.active) return;
    // The result is not wanted, so neither is its error; a lost device reports itself again at its next use.
    if (chain_.pending) (void)model_->backend().wait(chain_.ticket);
    if (chain_.stepped) rewind(static_cast<uint32_t>(tokens_.size()) - 1);
    chain_.active = chain_.pending = chain_.stepped = false;
}

}  // namespace atlas
