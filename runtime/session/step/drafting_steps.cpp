// Draft tokens that another runner's step verifies in the same submission: the device goes from the small model to the
// large one without the host.
#include "runtime/session/step/step_runner.h"

namespace atlas {

Result<void> StepRunner::queue_drafts(Timeline& timeline, std::span<const TokenId> tokens, uint32_t n,
                                      uint32_t n_known_ids, const DraftPlace& place, QueuedDrafts& queued) {
    ATLAS_CHECK(place.backend == &model_->backend() && place.first > 0 && n > 0 &&
                    place.first + n <= kBatchInvariantWidth && n_known_ids > 0 &&
                    n_known_ids <= model_->config().n_vocab,
                "{} draft tokens from word {}, {} ids", n, place.first, n_known_ids);
    const uint64_t n_recorded = counts_.recordings;
    const auto n_past = static_cast<uint32_t>(timeline.tokens().size() + tokens.size());
    const StepItem item{&timeline, tokens, 1};
    if (!tokens.empty()) {
        ATLAS_TRY_VOID(check({&item, 1}));
        ATLAS_TRY(Program * program, program_for(key_of({&item, 1})));
        queued.programs.push_back(program);
    }
    for (uint32_t i = 0; i < n; ++i) {
        StepKey key;
        key.place = StepPlace::drafts;
        key.chooses = true;
        key.n_outputs = 1;
        key.word = place.first + i;
        key.n_known_ids = n_known_ids;
        key.words = place.words;
        if (i > 0) {
            key.n_tokens = 1;
            key.max_kv_tokens = kv_bucket(n_past + i);
        }
        ATLAS_TRY(Program * program, program_for(key));
        queued.programs.push_back(program);
    }
    queued.recorded = queued.recorded || counts_.recordings > n_recorded;
    ATLAS_TRY_VOID(pool_->finish_copies());
    if (!tokens.empty()) tables_.write({&item, 1}, key_of({&item, 1}));
    tables_.write_drafts(timeline, n_past, place.first, n);
    first_draft_ = place.first;
    return {};
}

Result<void> StepRunner::read_drafts(std::span<Choice> draft_tokens) const {
    std::array<ChoiceResult, kBatchInvariantWidth> all;
    const auto results = std::span(all).first(draft_tokens.size());
    tables_.read_results(StepPlace::drafts, first_draft_, results);
    for (size_t i = 0; i < results.size(); ++i) {
        ATLAS_TRY(draft_tokens[i], tables_.choice_of(results[i]));
    }
    return {};
}

}  // namespace atlas
