#include "runtime/session/batch/batch_runner.h"

#include <algorithm>
#include <bit>

#include "runtime/ops/dry_ops.h"

namespace atlas {

namespace {

// Decode steps of 1 .. 8 timelines and prefill chunks of a few sizes, each in two buckets of context.
constexpr size_t kMaxRecorded = 32;
constexpr uint32_t kSmallestKvBucket = 256;

}  // namespace

uint32_t step_size_bucket(uint32_t n) {
    if (n <= 8) return n;
    const uint32_t unit = std::bit_floor(n - 1) / 4;
    return (n + unit - 1) / unit * unit;
}

uint32_t positions_in_common(std::span<const BatchItem> items) {
    if (items.empty()) return 0;
    // What the first one has before this step; it alone writes its last page.
    const auto first = items[0].timeline->pages();
    size_t same = items[0].timeline->tokens().size() / kPageTokens;
    for (const BatchItem& item : items.subspan(1)) {
        const auto other = item.timeline->pages();
        const size_t most = std::min(same, item.timeline->tokens().size() / kPageTokens);
        same =
            size_t(std::mismatch(first.begin(), first.begin() + ptrdiff_t(most), other.begin()).first - first.begin());
    }
    return static_cast<uint32_t>(same) * kPageTokens;
}

BatchRunner::BatchRunner(std::shared_ptr<const Model> model, const BatchShape& shape)
    : model_(std::move(model)), shape_(shape) {}
BatchRunner::~BatchRunner() = default;

Result<std::unique_ptr<BatchRunner>> BatchRunner::create(std::shared_ptr<const Model> model, const BatchShape& shape) {
    ATLAS_CHECK(model != nullptr);
    if (shape.max_timelines < 1 || shape.max_timelines > shape.n_batch) {
        return fail(ErrorCode::invalid_argument, "{} timelines per step: expected 1 .. {} (the batch)",
                    shape.max_timelines, shape.n_batch);
    }
    std::unique_ptr<BatchRunner> runner(new BatchRunner(std::move(model), shape));
    ATLAS_TRY_VOID(runner->allocate());
    return runner;
}

Result<void> BatchRunner::allocate() {
    ATLAS_TRY(const MemoryPlan plan,
              model_->plan_session({shape_.pool_tokens, shape_.n_batch, shape_.max_outputs, shape_.kv_format}));
    shape_.pool_tokens = plan.n_ctx;
    if (shape_.n_ctx == 0 || shape_.n_ctx > shape_.pool_tokens) shape_.n_ctx = shape_.pool_tokens;
    shape_.n_ctx = pages_for(shape_.n_ctx) * kPageTokens;
    max_pages_ = pages_for(shape_.n_ctx);

    Backend& backend = model_->backend();
    ATLAS_TRY(pool_, KvPool::create(model_, pages_for(shape_.pool_tokens), shape_.kv_format));
    ATLAS_TRY_VOID(backend.reserve_scratch(
        std::max(plan.scratch_bytes, uint64_t{shape_.max_outputs} * kSampleWorkWords * sizeof(uint32_t))));
    ATLAS_TRY(step_storage_, backend.allocate(MemoryUse::step, step_buffer_bytes(shape_.n_batch), "batch_step"));
    const uint64_t n_table = uint64_t{shape_.max_timelines} * max_pages_;
    ATLAS_TRY(page_table_storage_, backend.allocate(MemoryUse::step, n_table * sizeof(uint32_t), "batch_page_table"));
    const uint64_t n_logits = uint64_t{shape_.max_outputs} * model_->config().n_vocab;
    ATLAS_TRY(output_storage_, backend.allocate(MemoryUse::output, n_logits * sizeof(float), "batch_logits"));
    ATLAS_TRY(choice_storage_,
              backend.allocate(MemoryUse::step, shape_.max_outputs * sizeof(ChoiceParams), "batch_choices"));
    ATLAS_TRY(
        chosen_storage_,
        backend.allocate(MemoryUse::output, uint64_t{shape_.max_outputs} * sampling::kResultWords * 4, "batch_chosen"));
    choices_.resize(shape_.max_outputs);
    chosen_.resize(shape_.max_outputs);
    step_words_.resize(5ull * shape_.n_batch);
    page_table_.resize(n_table);
    logits_.resize(n_logits);
    first_row_.reserve(shape_.max_timelines);
    n_rows_.reserve(shape_.max_timelines);
    recorded_.reserve(kMaxRecorded);
    return {};
}

uint32_t BatchRunner::kv_bucket(uint32_t n_kv_tokens) const {
    return std::min(shape_.n_ctx, std::max(kSmallestKvBucket, std::bit_ceil(n_kv_tokens)));
}

Result<void> BatchRunner::check(std::span<const BatchItem> items) const {
    uint64_t n_tokens = 0, n_outputs = 0;
    for (const BatchItem& item : items) {
        ATLAS_CHECK(item.timeline != nullptr && &item.timeline->pool() == pool_.get() && !item.tokens.empty() &&
                    item.n_outputs <= item.tokens.size() &&
                    (item.choices.empty() || item.choices.size() == item.n_outputs));
        n_tokens += item.tokens.size();
        n_outputs += item.n_outputs;
        const size_t end = item.timeline->tokens().size() + item.tokens.size();
        if (end > shape_.n_ctx)
            return fail(ErrorCode::limit, "{} tokens do not fit: a timeline holds {}", end, shape_.n_ctx);
        ATLAS_CHECK(item.timeline->pages_needed(static_cast<uint32_t>(item.tokens.size())) == 0,
                    "a timeline has not reserved room");
    }
    ATLAS_CHECK(!items.empty() && items.size() <= shape_.max_timelines && n_tokens <= shape_.n_batch &&
                    n_outputs <= shape_.max_outputs,
                "a step of {} timelines, {} tokens and {} outputs", items.size(), n_tokens, n_outputs);
    return {};
}

BatchRunner::StepKey BatchRunner::key_of(std::span<const BatchItem> items) const {
    uint32_t n_tokens = 0, n_outputs = 0;
    size_t most_keys = 0;
    bool chooses = false;
    for (const BatchItem& item : items) {
        n_tokens += static_cast<uint32_t>(item.tokens.size());
        n_outputs += item.n_outputs;
        most_keys = std::max(most_keys, item.timeline->tokens().size() + item.tokens.size());
        chooses = chooses || !item.choices.empty();
    }
    StepKey key{std::min(step_size_bucket(n_tokens), shape_.n_batch), 0, kv_bucket(static_cast<uint32_t>(most_keys)),
                chooses};
    // All rows are wanted in the most frequent step, a decode of each timeline.
    if (n_outputs == n_tokens && key.n_tokens <= shape_.max_outputs)
        key.n_outputs = key.n_tokens;
    else if (n_outputs > 0)
        key.n_outputs = std::min({std::bit_ceil(n_outputs), shape_.max_outputs, key.n_tokens});
    return key;
}

Result<void> BatchRunner::run(std::span<const BatchItem> items) {
    ATLAS_TRY_VOID(check(items));
    const StepKey key = key_of(items);
    ATLAS_TRY(Program * program, program_for(key));
    ATLAS_TRY_VOID(pool_->finish_copies());
    write_pages(items);
    write_step(items, key);
    write_choices(items, key);
    ATLAS_TRY_VOID(model_->backend().run(*program));
    ++counts_.steps;
    uint32_t n_tokens = 0;
    for (const BatchItem& item : items) {
        n_tokens += static_cast<uint32_t>(item.tokens.size());
        item.timeline->append(item.tokens);
    }
    counts_.timelines += items.size();
    counts_.tokens += n_tokens;
    counts_.padded_tokens += key.n_tokens - n_tokens;
    read_outputs(items, key);
    return {};
}

Result<uint64_t> BatchRunner::shrink(uint64_t bytes, uint32_t least_tokens, std::span<Timeline* const> timelines) {
    if (pool_->n_pages() <= std::max(pool_->n_in_use(), pages_for(least_tokens))) return 0;
    recorded_.clear();  // recorded steps read the old storages
    auto given = pool_->shrink(bytes, pages_for(least_tokens), timelines);
    shape_.pool_tokens = pool_->n_pages() * kPageTokens;
    shape_.n_ctx = std::min(shape_.n_ctx, shape_.pool_tokens);
    return given;
}

bool BatchRunner::can_choose(const SamplerOptions& options) const {
    constexpr uint32_t kMostLogits = 1u << 20;  // limit of the sample operation
    return model_->config().n_vocab <= kMostLogits && !has_penalties(options);
}

void BatchRunner::write_choices(std::span<const BatchItem> items, const StepKey& key) {
    if (!key.chooses) return;
    // rows whose choice is not used
    static const ChoiceParams any = sample_params({.temperature = 0}, 0, false, false);
    std::fill_n(choices_.begin(), key.n_outputs, any);
    for (size_t i = 0; i < items.size(); ++i)
        std::copy(items[i].choices.begin(), items[i].choices.end(), choices_.begin() + first_row_[i]);
    model_->backend().write(*choice_storage_, 0, std::as_bytes(std::span(choices_).first(key.n_outputs)));
}

void BatchRunner::read_outputs(std::span<const BatchItem> items, const StepKey& key) {
    const size_t n_vocab = model_->config().n_vocab;
    for (size_t i = 0; i < items.size(); ++i) {
        if (n_rows_[i] == 0 || !items[i].choices.empty()) continue;
        const auto rows = std::span(logits_).subspan(first_row_[i] * n_vocab, n_rows_[i] * n_vocab);
        model_->backend().read(*output_storage_, first_row_[i] * n_vocab * sizeof(float), std::as_writable_bytes(rows));
    }
    if (key.chooses)
        model_->backend().read(*chosen_storage_, 0, std::as_writable_bytes(std::span(chosen_).first(key.n_outputs)));
}

Result<TokenId> BatchRunner::chosen(size_t item, uint32_t row) const {
    using namespace sampling;
    ATLAS_CHECK(row < n_rows_.at(item), "row {} of {}", row, n_rows_.at(item));
    const auto& result = chosen_[first_row_[item] + row];
    if (result[kResultStatus] == kChosen && result[kResultId] < model_->config().n_vocab) return result[kResultId];
    return tl::unexpected(
        damaged_logits(result[kResultStatus], result[kResultId], result[kResultRank], model_->config().n_vocab));
}

std::span<const float> BatchRunner::logits(size_t item) const {
    const size_t n_vocab = model_->config().n_vocab;
    return std::span(logits_).subspan(first_row_.at(item) * n_vocab, n_rows_.at(item) * n_vocab);
}

// As in Session: five arrays of n_tokens (out_rows: n_outputs), one after the other.
StepViews BatchRunner::views_of(const StepKey& key) const {
    const auto view = [&](uint64_t array, uint32_t count) {
        return U32View{step_storage_.get(), array * key.n_tokens * sizeof(uint32_t), count};
    };
    StepViews views{view(0, key.n_tokens),
                    view(1, key.n_tokens),
                    view(2, key.n_tokens),
                    view(3, key.n_tokens),
                    {page_table_storage_.get(), 0, shape_.max_timelines * max_pages_},
                    view(4, key.n_outputs)};
    views.max_pages = max_pages_;
    views.max_kv_tokens = key.max_kv_tokens;
    views.shared_positions = {step_storage_.get(), shared_positions_at(shape_.n_batch), 1};
    return views;
}

// Padding tokens repeat the step's last token to the bit: they write the same values to the same places.
void BatchRunner::write_step(std::span<const BatchItem> items, const StepKey& key) {
    uint32_t* words = step_words_.data();
    const uint32_t n = key.n_tokens;
    const bool all_rows = key.n_outputs == n;  // then row i of the logits is token i, whatever out_rows says
    uint32_t at = 0, n_outputs = 0;
    first_row_.clear();
    n_rows_.clear();
    for (uint32_t seq = 0; seq < items.size(); ++seq) {
        const BatchItem& item = items[seq];
        const auto pages = item.timeline->pages();
        auto position = static_cast<uint32_t>(item.timeline->tokens().size());
        for (const TokenId token : item.tokens) {
            ATLAS_CHECK(token < model_->config().n_vocab, "token {} of {}", token, model_->config().n_vocab);
            words[at] = token;
            words[n + at] = position;
            words[2 * n + at] = pages[position / kPageTokens] * kPageTokens + position % kPageTokens;
            words[3 * n + at] = seq;
            ++position;
            ++at;
        }
        first_row_.push_back(all_rows ? at - item.n_outputs : n_outputs);
        n_rows_.push_back(item.n_outputs);
        for (uint32_t i = 0; i < item.n_outputs; ++i) words[4 * n + n_outputs++] = at - item.n_outputs + i;
    }
    for (uint32_t pad = at; pad < n; ++pad) {
        for (uint32_t array = 0; array < 4; ++array) words[array * n + pad] = words[array * n + at - 1];
    }
    for (uint32_t pad = n_outputs; pad < key.n_outputs; ++pad) words[4 * n + pad] = n - 1;
    Backend& backend = model_->backend();
    backend.write(*step_storage_, 0, std::as_bytes(std::span(words, 4ull * n + key.n_outputs)));
    const uint32_t shared = items.size() == 1 ? UINT32_MAX : positions_in_common(items);
    if (items.size() > 1) counts_.shared_positions += shared;
    backend.write(*step_storage_, shared_positions_at(shape_.n_batch), std::as_bytes(std::span(&shared, 1)));
}

// Writes only the entries that have changed.
void BatchRunner::write_pages(std::span<const BatchItem> items) {
    for (size_t seq = 0; seq < items.size(); ++seq) {
        const auto pages = items[seq].timeline->pages();
        const auto row = std::span(page_table_).subspan(seq * max_pages_, std::min<size_t>(pages.size(), max_pages_));
        const auto first = size_t(std::mismatch(row.begin(), row.end(), pages.begin()).first - row.begin());
        if (first == row.size()) continue;
        const auto fresh = pages.subspan(first, row.size() - first);
        std::copy(fresh.begin(), fresh.end(), row.begin() + ptrdiff_t(first));
        model_->backend().write(*page_table_storage_, (seq * max_pages_ + first) * sizeof(uint32_t),
                                std::as_bytes(fresh));
    }
}

SampleTables BatchRunner::choice_tables(const StepKey& key) const {
    SampleTables tables;
    tables.params = {choice_storage_.get(), 0, key.n_outputs * sampling::kParamWords};
    tables.results = {chosen_storage_.get(), 0, key.n_outputs * sampling::kResultWords};
    return tables;
}

Result<Program*> BatchRunner::program_for(const StepKey& key) {
    ++n_uses_;
    for (RecordedStep& step : recorded_) {
        if (step.key != key) continue;
        step.last_use = n_uses_;
        return step.program.get();
    }
    const StepViews views = views_of(key);
    Tensor logits;
    if (key.n_outputs > 0) logits = dense(*output_storage_, Format::f32, key.n_outputs, model_->config().n_vocab);
    const auto pass = [this, key, views, logits](Ops& ops) {
        model_->architecture().forward({model_->config(), model_->weights(), pool_->layers(), views, logits}, ops);
        if (!key.chooses) return;
        ops.label("sample");
        ops.sample(logits, choice_tables(key));
    };
    const std::string name =
        fmt::format("batch of {} tokens, {} outputs, {} keys", key.n_tokens, key.n_outputs, key.max_kv_tokens);
    ATLAS_TRY(auto program, model_->backend().record(name, pass));
    ++counts_.recordings;
    if (recorded_.size() == kMaxRecorded) {
        recorded_.erase(
            std::min_element(recorded_.begin(), recorded_.end(),
                             [](const RecordedStep& a, const RecordedStep& b) { return a.last_use < b.last_use; }));
    }
    recorded_.push_back({key, n_uses_, std::move(program)});
    return recorded_.back().program.get();
}

}  // namespace atlas
