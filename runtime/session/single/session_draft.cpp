// Draft tokens that another session's step verifies in the same submission: the device goes from the small model to
// the large one without the host.
#include <algorithm>

#include "runtime/session/single/session.h"

namespace atlas {

using namespace sampling;

namespace {

constexpr uint32_t kStepWords = 4;  // position, slot, sequence, output row
// For one place: a choice of every word, with a step before it and without, in two buckets of context. At least the
// programs of one block stay recorded.
constexpr size_t kMaxRecordedDrafts = size_t{4} * kBatchInvariantWidth;

}  // namespace

void Session::record_draft(const DraftKey& key, Ops& ops) const {
    const ModelConfig& config = model_->config();
    const Tensor logits = dense(*output_storage_, Format::f32, 1, config.n_vocab);
    const auto token = [&](uint32_t word) { return U32View{key.words.get(), word * sizeof(uint32_t), 1}; };
    if (key.max_kv_tokens > 0) {
        const auto word = [&](uint64_t i) {
            return U32View{verify_params_.get(),
                           kDraftStepsAtBytes + (uint64_t{key.word} * kStepWords + i) * sizeof(uint32_t), 1};
        };
        StepViews views{
            token(key.word - 1), word(0), word(1), word(2), {page_table_storage_.get(), 0, pages_.n_pages()}, word(3)};
        views.max_pages = pages_.n_pages();
        views.max_kv_tokens = key.max_kv_tokens;
        model_->architecture().forward({config, model_->weights(), kv_.views(), views, logits}, ops);
    }
    SampleTables tables;
    tables.params = {verify_params_.get(), uint64_t{key.word} * kParamWords * sizeof(uint32_t), kParamWords};
    tables.next_tokens = token(key.word);
    tables.results = {verify_results_.get(), uint64_t{key.word} * kResultWords * sizeof(uint32_t), kResultWords};
    ops.label("sample");
    // ids that the other model does not know have no row in its table
    ops.sample(logits.col_range(0, key.n_known_ids), tables);
}

Result<Program*> Session::draft_program(const DraftKey& key, QueuedDrafts& queued) {
    ++n_uses_;
    for (RecordedDraft& draft_token : recorded_drafts_) {
        if (draft_token.key != key) continue;
        draft_token.last_use = n_uses_;
        return draft_token.program.get();
    }
    const std::string name =
        fmt::format("draft {}{}, {} keys", key.max_kv_tokens > 0 ? "" : "from logits ", key.word, key.max_kv_tokens);
    ATLAS_TRY(auto program, model_->backend().record(name, [this, key](Ops& ops) { record_draft(key, ops); }));
    queued.recorded = true;
    if (recorded_drafts_.size() == kMaxRecordedDrafts) {
        recorded_drafts_.erase(
            std::min_element(recorded_drafts_.begin(), recorded_drafts_.end(),
                             [](const RecordedDraft& a, const RecordedDraft& b) { return a.last_use < b.last_use; }));
    }
    recorded_drafts_.push_back({key, n_uses_, std::move(program)});
    return recorded_drafts_.back().program.get();
}

// Row i of the parameters belongs to the choice that writes word i, and so do the step's words, which lie after
// n_past tokens and one more per word.
void Session::write_draft_steps(uint32_t n_past, uint32_t first, uint32_t n) {
    const auto params = sample_params({.temperature = 0}, 0, false, true);
    std::array<uint32_t, kBatchInvariantWidth * kParamWords> rows;
    std::array<uint32_t, kBatchInvariantWidth * kStepWords> steps{};
    for (uint32_t i = 0; i < n; ++i) {
        std::copy(params.begin(), params.end(), rows.begin() + i * kParamWords);
        if (i == 0) continue;  // after the known tokens there are logits
        const uint32_t position = n_past + i - 1;
        steps[i * kStepWords] = position;
        steps[i * kStepWords + 1] = page_table_[position / kPageTokens] * kPageTokens + position % kPageTokens;
    }
    Backend& backend = model_->backend();
    backend.write(*verify_params_, uint64_t{first} * kParamWords * sizeof(uint32_t),
                  std::as_bytes(std::span(rows).first(n * kParamWords)));
    backend.write(*verify_params_, kDraftStepsAtBytes + uint64_t{first} * kStepWords * sizeof(uint32_t),
                  std::as_bytes(std::span(steps).first(n * kStepWords)));
}

Result<void> Session::queue_drafts(std::span<const TokenId> tokens, uint32_t n, uint32_t n_known_ids,
                                   const DraftPlace& place, QueuedDrafts& queued) {
    ATLAS_CHECK(!chain_.active && place.backend == &model_->backend() && place.first > 0 && n > 0 &&
                    place.first + n <= kBatchInvariantWidth && n_known_ids > 0 &&
                    n_known_ids <= model_->config().n_vocab,
                "{} draft tokens from word {}, {} ids", n, place.first, n_known_ids);
    ATLAS_CHECK(tokens.size() + n <= plan_.n_ctx, "{} draft tokens after {} tokens of {}", n, tokens.size(),
                plan_.n_ctx);
    const auto differ = std::mismatch(tokens.begin(), tokens.end(), tokens_.begin(), tokens_.end());
    const auto same = static_cast<uint32_t>(differ.first - tokens.begin());
    const bool ready = has_logits_ && n_logit_rows_ == 1 && same == tokens.size() && same == tokens_.size();
    const uint32_t reused = ready ? same : std::min(same, static_cast<uint32_t>(tokens.size()) - 1);
    const auto n_new = static_cast<uint32_t>(tokens.size()) - reused;
    const bool at_once = n_new > std::min(kBatchInvariantWidth, shape_.n_batch);
    ATLAS_TRY_VOID(check_tokens(tokens, 0));
    if (at_once) {
        ATLAS_TRY_VOID(sync(tokens));
    } else {
        rewind(reused);
    }
    const auto n_past = static_cast<uint32_t>(tokens.size());
    if (n_new > 0 && !at_once) {
        const StepKey key{n_new, 1, kv_bucket(n_past)};
        const bool known =
            std::any_of(recorded_.begin(), recorded_.end(), [&](const RecordedStep& step) { return step.key == key; });
        ATLAS_TRY(Program * program, program_for(key));
        queued.recorded = queued.recorded || !known;
        queued.programs.push_back(program);
    }
    for (uint32_t i = 0; i < n; ++i) {
        ATLAS_TRY(
            Program * program,
            draft_program({place.first + i, i > 0 ? kv_bucket(n_past + i) : 0, n_known_ids, place.words}, queued));
        queued.programs.push_back(program);
    }
    extend_pages(n_past + n - 1);
    if (n_new > 0 && !at_once) write_step(tokens.subspan(reused), n_new, 1);
    write_draft_steps(n_past, place.first, n);
    first_draft_ = place.first;
    has_logits_ = false;
    return {};
}

Result<void> Session::take_drafts(std::span<const TokenId> tokens, std::span<Choice> draft_tokens) {
    std::array<uint32_t, kBatchInvariantWidth * kResultWords> results;
    const auto read = std::span(results).first(draft_tokens.size() * kResultWords);
    model_->backend().read(*verify_results_, uint64_t{first_draft_} * kResultWords * sizeof(uint32_t),
                           std::as_writable_bytes(read));
    for (size_t i = 0; i < draft_tokens.size(); ++i) {
        ATLAS_TRY(draft_tokens[i], choice_of(read.subspan(i * kResultWords, kResultWords)));
    }
    tokens_.assign(tokens.begin(), tokens.end());
    for (size_t i = 0; i + 1 < draft_tokens.size(); ++i) tokens_.push_back(draft_tokens[i].token);
    return {};
}

}  // namespace atlas
