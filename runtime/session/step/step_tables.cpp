#include "runtime/session/step/step_tables.h"

#include <algorithm>
#include <cmath>

namespace atlas {

using namespace sampling;

namespace {

constexpr uint64_t kWord = sizeof(uint32_t);
static_assert(kChoiceParamBytes == sizeof(ChoiceParams) && kChoiceResultBytes == sizeof(ChoiceResult));

uint32_t ahead_index(StepPlace place) { return place == StepPlace::ahead_a ? 0 : 1; }
bool is_ahead(StepPlace place) { return place == StepPlace::ahead_a || place == StepPlace::ahead_b; }

}  // namespace

uint32_t positions_in_common(std::span<const StepItem> items) {
    if (items.empty()) return 0;
    // What the first one has before this step; it alone writes its last page.
    const auto first = items[0].timeline->pages();
    size_t same = items[0].timeline->tokens().size() / kPageTokens;
    for (const StepItem& item : items.subspan(1)) {
        const auto other = item.timeline->pages();
        const size_t most = std::min(same, item.timeline->tokens().size() / kPageTokens);
        same =
            size_t(std::mismatch(first.begin(), first.begin() + ptrdiff_t(most), other.begin()).first - first.begin());
    }
    return static_cast<uint32_t>(same) * kPageTokens;
}

Result<StepTables> StepTables::create(Backend& backend, const ModelConfig& config, const StepSizes& sizes) {
    StepTables made;
    made.backend_ = &backend;
    made.sizes_ = sizes;
    made.n_vocab_ = config.n_vocab;
    made.has_states_ = std::any_of(config.layers.begin(), config.layers.end(),
                                   [](const LayerConfig& layer) { return layer.cache().state_bytes > 0; });
    made.max_pages_ = pages_for(sizes.timeline_tokens);
    // of step storages the pool has the first
    const auto step = step_storages(sizes), output = output_storages(config, sizes);
    const auto take = [&](MemoryUse use, uint64_t bytes, std::string_view name) {
        return backend.allocate(use, bytes, name);
    };
    ATLAS_TRY(made.step_, take(MemoryUse::step, step[1], "step"));
    ATLAS_TRY(made.pages_, take(MemoryUse::step, step[2], "page_table"));
    for (size_t i = 0; i < made.ahead_.size(); ++i) {
        ATLAS_TRY(made.ahead_[i], take(MemoryUse::step, step[3 + i], "ahead_step"));
    }
    ATLAS_TRY(made.ahead_state_, take(MemoryUse::step, step[5], "ahead_state"));
    ATLAS_TRY(made.choice_params_, take(MemoryUse::step, step[6], "choice_params"));
    ATLAS_TRY(made.logits_, take(MemoryUse::output, output[0], "logits"));
    ATLAS_TRY(made.ahead_results_, take(MemoryUse::output, output[1], "ahead_results"));
    ATLAS_TRY(made.choice_results_, take(MemoryUse::output, output[2], "choice_results"));
    made.words_.resize(5ull * sizes.n_batch);
    made.page_table_.resize(uint64_t{sizes.max_timelines} * made.max_pages_);
    if (sizes.has_windows) {
        made.window_words_.resize(sizes.n_batch);
        made.window_table_.resize(made.page_table_.size());
        // Entries that no window sees are never written.
        backend.write(*made.pages_, made.page_table_.size() * kWord, std::as_bytes(std::span(made.window_table_)));
    }
    made.first_row_.reserve(sizes.max_timelines);
    made.state_words_.reserve(sizes.max_timelines + sizes.n_batch);
    return made;
}

StepTables::Place StepTables::place_of(const StepKey& key) const {
    switch (key.place) {
        case StepPlace::here:
            return {{step_.get(), 0}, sizes_.n_batch, {choice_params_.get(), 0}};
        case StepPlace::drafts: {
            const uint64_t at = drafts_at(sizes_) + key.word * kDraftWordsBytes;
            return {{choice_params_.get(), at}, 1, {choice_params_.get(), key.word * sizeof(ChoiceParams)}};
        }
        case StepPlace::ahead_a:
        case StepPlace::ahead_b:
            break;
    }
    Storage* storage = ahead_[ahead_index(key.place)].get();
    return {{storage, 0}, sizes_.max_timelines, {storage, ahead_params_at(sizes_)}};
}

StepTables::At StepTables::results_of(StepPlace place, uint32_t row) const {
    if (!is_ahead(place)) return {choice_results_.get(), row * kChoiceResultBytes};
    return {ahead_results_.get(), ahead_index(place) * ahead_results_bytes(sizes_) + row * kChoiceResultBytes};
}

// Five arrays of n_tokens (out_rows: n_outputs), one after the other.
StepViews StepTables::views(const StepKey& key) const {
    const Place place = place_of(key);
    const auto view = [&](uint64_t array, uint32_t count) {
        return U32View{place.words.storage, place.words.bytes + array * key.n_tokens * kWord, count};
    };
    StepViews views{view(0, key.n_tokens),
                    view(1, key.n_tokens),
                    view(2, key.n_tokens),
                    view(3, key.n_tokens),
                    {pages_.get(), 0, static_cast<uint32_t>(page_table_.size())},
                    view(4, key.n_outputs)};
    if (key.continues) views.tokens = {ahead_state_.get(), 0, key.n_tokens};
    if (key.place == StepPlace::drafts) views.tokens = {key.words.get(), (key.word - 1) * kWord, 1};
    views.max_pages = max_pages_;
    views.max_kv_tokens = key.max_kv_tokens;
    views.shared_positions = {place.words.storage, place.words.bytes + shared_positions_at(place.capacity), 1};
    if (sizes_.has_windows) {
        views.window_slots = {place.words.storage, place.words.bytes + window_words_at(key), key.n_tokens};
        views.window_table = {pages_.get(), page_table_.size() * kWord, static_cast<uint32_t>(window_table_.size())};
    }
    if (!has_states_) return views;
    const uint64_t states = place.words.bytes + states_at(place.capacity);
    const uint32_t n_before = key.place == StepPlace::drafts ? 1 : sizes_.max_timelines;
    views.state_before = {place.words.storage, states, n_before};
    views.state_after = {place.words.storage, states + n_before * kWord, key.n_tokens};
    return views;
}

uint64_t StepTables::window_words_at(const StepKey& key) const {
    return window_slots_at(place_of(key).capacity, key.place == StepPlace::drafts ? 1 : sizes_.max_timelines);
}

SampleTables StepTables::choices(const StepKey& key) const {
    const uint32_t n = key.n_tokens == 0 ? 1 : key.n_outputs;
    const bool drafts = key.place == StepPlace::drafts;
    const At params = place_of(key).params, results = results_of(key.place, drafts ? key.word : 0);
    SampleTables tables;
    tables.params = {params.storage, params.bytes, n * kParamWords};
    tables.results = {results.storage, results.bytes, n * kResultWords};
    if (drafts) tables.next_tokens = {key.words.get(), key.word * kWord, 1};
    if (key.feeds) tables.next_tokens = {ahead_state_.get(), 0, n};
    if (key.n_history > 0) tables.history = {ahead_state_.get(), history_at(sizes_), kHistoryHead + key.n_history};
    return tables;
}

void StepTables::write(std::span<const StepItem> items, const StepKey& key) {
    write_pages(items);
    uint32_t* words = words_.data();
    const uint32_t n = key.n_tokens;
    const bool all_rows = key.n_outputs == n;  // then row i of the logits is token i, whatever out_rows says
    uint32_t at = 0, n_outputs = 0;
    first_row_.clear();
    for (uint32_t seq = 0; seq < items.size(); ++seq) {
        const StepItem& item = items[seq];
        const auto pages = item.timeline->pages();
        auto position = static_cast<uint32_t>(item.timeline->tokens().size());
        for (uint32_t i = 0; i < item.n_tokens(); ++i, ++position, ++at) {
            words[at] = i < item.tokens.size() ? item.tokens[i] : 0;
            words[n + at] = position;
            words[2 * n + at] = pages[position / kPageTokens] * kPageTokens + position % kPageTokens;
            words[3 * n + at] = seq;
            if (sizes_.has_windows) window_words_[at] = item.timeline->row_in_windows(position);
        }
        first_row_.push_back(all_rows ? at - item.n_outputs : n_outputs);
        for (uint32_t i = 0; i < item.n_outputs; ++i) words[4 * n + n_outputs++] = at - item.n_outputs + i;
    }
    for (uint32_t pad = at; pad < n; ++pad) {
        for (uint32_t array = 0; array < 4; ++array) words[array * n + pad] = words[array * n + at - 1];
        if (sizes_.has_windows) window_words_[pad] = window_words_[at - 1];
    }
    for (uint32_t pad = n_outputs; pad < key.n_outputs; ++pad) words[4 * n + pad] = n - 1;
    const Place place = place_of(key);
    backend_->write(*place.words.storage, place.words.bytes, std::as_bytes(std::span(words, 4ull * n + key.n_outputs)));
    if (sizes_.has_windows) {
        backend_->write(*place.words.storage, place.words.bytes + window_words_at(key),
                        std::as_bytes(std::span(window_words_).first(n)));
    }
    if (has_states_) write_states(items, key);
    shared_positions_ = items.size() == 1 ? UINT32_MAX : positions_in_common(items);
    uint32_t& there = shared_there_[static_cast<size_t>(key.place)];
    if (there == shared_positions_) return;
    there = shared_positions_;
    backend_->write(*place.words.storage, place.words.bytes + shared_positions_at(place.capacity),
                    std::as_bytes(std::span(&there, 1)));
}

// A token that is repeated leaves no state: it would be one too many.
void StepTables::write_states(std::span<const StepItem> items, const StepKey& key) {
    state_words_.assign(sizes_.max_timelines + key.n_tokens, StateSlots::kNone);
    uint32_t at = sizes_.max_timelines;
    for (uint32_t seq = 0; seq < items.size(); ++seq) {
        const Timeline& timeline = *items[seq].timeline;
        auto n_tokens = static_cast<uint32_t>(timeline.tokens().size());
        state_words_[seq] = timeline.state_after(n_tokens);
        ATLAS_CHECK(state_words_[seq] != StateSlots::kNone, "no state after {} tokens", n_tokens);
        for (uint32_t i = 0; i < items[seq].n_tokens(); ++i) state_words_[at++] = timeline.state_after(++n_tokens);
    }
    const Place place = place_of(key);
    backend_->write(*place.words.storage, place.words.bytes + states_at(place.capacity),
                    std::as_bytes(std::span(state_words_)));
}

// Writes only the entries that have changed. A step that is running reads old entries alone, or one whose page was
// exchanged for another with the same contents (Timeline::append).
void StepTables::write_pages(std::span<const StepItem> items) {
    for (size_t seq = 0; seq < items.size(); ++seq) {
        const auto pages = items[seq].timeline->pages();
        const auto row = std::span(page_table_).subspan(seq * max_pages_, std::min<size_t>(pages.size(), max_pages_));
        if (std::equal(row.begin(), row.end(), pages.begin())) continue;
        const auto first = size_t(std::mismatch(row.begin(), row.end(), pages.begin()).first - row.begin());
        const auto fresh = pages.subspan(first, row.size() - first);
        std::copy(fresh.begin(), fresh.end(), row.begin() + ptrdiff_t(first));
        backend_->write(*pages_, (seq * max_pages_ + first) * kWord, std::as_bytes(fresh));
    }
    if (sizes_.has_windows) write_windows(items);
}

void StepTables::write_windows(std::span<const StepItem> items) {
    for (size_t seq = 0; seq < items.size(); ++seq) {
        const Timeline& timeline = *items[seq].timeline;
        const size_t n_pages = std::min<size_t>(timeline.pages().size(), max_pages_);
        size_t first = n_pages, end = 0;
        for (size_t i = timeline.first_in_windows(); i < n_pages; ++i) {
            uint32_t& entry = window_table_[seq * max_pages_ + i];
            const uint32_t slot = timeline.pool().windows().slot_of(timeline.pages()[i]);
            if (entry == slot) continue;
            entry = slot;
            first = std::min(first, i);
            end = i + 1;
        }
        if (first >= end) continue;
        const size_t at = seq * max_pages_ + first;
        backend_->write(*pages_, (page_table_.size() + at) * kWord,
                        std::as_bytes(std::span(window_table_).subspan(at, end - first)));
    }
}

void StepTables::write_choices(const StepKey& key, std::span<const ChoiceParams> params) {
    const At at = place_of(key).params;
    backend_->write(*at.storage, at.bytes, std::as_bytes(params));
}

void StepTables::write_drafts(Timeline& timeline, uint32_t n_past, uint32_t first, uint32_t n) {
    const StepItem item{&timeline, {}};
    write_pages({&item, 1});
    std::array<ChoiceParams, kBatchInvariantWidth> params;
    params.fill(sample_params({.temperature = 0}, 0, false, true));
    constexpr uint64_t kWords = kDraftWordsBytes / kWord;
    std::array<uint32_t, kBatchInvariantWidth * kWords> steps{};
    const auto pages = timeline.pages();
    for (uint32_t i = 1; i < n; ++i) {  // the first one only chooses
        const uint32_t position = n_past + i - 1;
        uint32_t* words = steps.data() + i * kWords;
        words[1] = position;
        words[2] = pages[position / kPageTokens] * kPageTokens + position % kPageTokens;
        words[5] = UINT32_MAX;  // all positions are the only timeline's
        words[6] = timeline.state_after(position);
        words[7] = timeline.state_after(position + 1);
        if (sizes_.has_windows) words[8] = timeline.row_in_windows(position);
    }
    backend_->write(*choice_params_, first * sizeof(ChoiceParams), std::as_bytes(std::span(params).first(n)));
    backend_->write(*choice_params_, drafts_at(sizes_) + first * kDraftWordsBytes,
                    std::as_bytes(std::span(steps).first(n * kWords)));
}

void StepTables::write_history(std::span<const uint32_t> words) {
    backend_->write(*ahead_state_, history_at(sizes_), std::as_bytes(words));
}

void StepTables::read_logits(uint32_t first_row, std::span<float> rows) const {
    backend_->read(*logits_, uint64_t{first_row} * n_vocab_ * sizeof(float), std::as_writable_bytes(rows));
}

void StepTables::read_results(StepPlace place, uint32_t first_row, std::span<ChoiceResult> results) const {
    const At at = results_of(place, first_row);
    backend_->read(*at.storage, at.bytes, std::as_writable_bytes(results));
}

Result<Choice> StepTables::choice_of(const ChoiceResult& result) const {
    if (result[kResultStatus] != kChosen || result[kResultId] >= n_vocab_) {
        return tl::unexpected(damaged_logits(result[kResultStatus], result[kResultId], result[kResultRank], n_vocab_));
    }
    Choice choice{result[kResultId], 0};
    const uint64_t sum = (uint64_t{result[kResultSum + 1]} << 32) | result[kResultSum];
    if (sum > 0) {
        choice.logprob = double{logit_of(result[kResultRank])} - double{logit_of(result[kResultBest])} -
                         std::log(double(sum) * 0x1p-31);
    }
    return choice;
}

}  // namespace atlas
