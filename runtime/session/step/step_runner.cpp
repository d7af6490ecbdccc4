#include "runtime/session/step/step_runner.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace atlas {

namespace {

// Of one timeline: a decode step, whole chunks with and without an output and a prompt's last partial chunk, each in
// two buckets of context; choices and steps with a choice at both places ahead; six widths of verify steps. Of many:
// decode steps of 1 .. 8 timelines and prefill chunks of a few sizes, each in two buckets of context.
constexpr size_t kMaxSteps = 32;
// For one place: a choice of every word, with a step before it and without, in two buckets of context. At least the
// programs of one block stay recorded.
constexpr size_t kMaxDraftingSteps = size_t{4} * kBatchInvariantWidth;

// Attention is recorded for at least this many keys, then for powers of two: a timeline of 128k tokens records ten
// decode steps in all.
constexpr uint32_t kSmallestKvBucket = 256;

constexpr uint32_t kMostLogits = 1u << 20;  // limit of the sample operation

}  // namespace

StepRunner::StepRunner(std::shared_ptr<const Model> model, const SessionShape& shape, Serves serves)
    : model_(std::move(model)), shape_(shape), serves_(serves), steps_(kMaxSteps), drafting_steps_(kMaxDraftingSteps) {}
StepRunner::~StepRunner() = default;

Result<std::unique_ptr<StepRunner>> StepRunner::create(std::shared_ptr<const Model> model, const SessionShape& shape,
                                                       Serves serves) {
    ATLAS_CHECK(model != nullptr && (serves == Serves::many || shape.max_timelines == 1));
    std::unique_ptr<StepRunner> runner(new StepRunner(std::move(model), shape, serves));
    ATLAS_TRY_VOID(runner->allocate());
    return runner;
}

Result<void> StepRunner::allocate() {
    ATLAS_TRY(plan_, model_->plan_session(shape_));
    const StepSizes sizes = step_sizes(model_->config(), shape_, plan_.n_ctx);
    states_ = state_counts(model_->config(), shape_);
    shape_.pool_tokens = plan_.n_ctx;
    shape_.n_ctx = sizes.timeline_tokens;

    Backend& backend = model_->backend();
    const ModelConfig& config = model_->config();
    ATLAS_TRY_VOID(backend.reserve_scratch(plan_.scratch_bytes));
    backend.expect(MemoryUse::step, step_storages(sizes));
    backend.expect(MemoryUse::output, output_storages(config, sizes));
    std::optional<HashSecret> secret;
    if (serves_ == Serves::many) secret = random_secret();
    ATLAS_TRY(pool_, KvPool::create(model_, kv_rows(config, shape_, plan_.n_ctx), shape_.kv_format, secret,
                                    {states_, shape_.checkpoint_every}));
    ATLAS_TRY(tables_, StepTables::create(backend, config, sizes));
    params_.resize(shape_.max_outputs);
    results_.resize(shape_.max_outputs);
    logits_.resize(uint64_t{shape_.max_outputs} * config.n_vocab);
    n_rows_.reserve(shape_.max_timelines);
    is_read_.reserve(shape_.max_timelines);
    return {};
}

uint32_t StepRunner::kv_bucket(uint32_t n_keys) const {
    return std::min(shape_.n_ctx, std::max(kSmallestKvBucket, std::bit_ceil(n_keys)));
}

Result<void> StepRunner::check(std::span<const StepItem> items) const {
    const uint32_t n_vocab = model_->config().n_vocab;
    uint64_t n_tokens = 0, n_outputs = 0;
    for (const StepItem& item : items) {
        ATLAS_CHECK(item.timeline != nullptr && &item.timeline->pool() == pool_.get() && item.n_tokens() > 0 &&
                    item.n_outputs <= item.n_tokens() &&
                    (item.choices.empty() || item.choices.size() == item.n_outputs));
        for (const TokenId token : item.tokens) ATLAS_CHECK(token < n_vocab, "token {} of {}", token, n_vocab);
        n_tokens += item.n_tokens();
        n_outputs += item.n_outputs;
        const size_t end = item.timeline->tokens().size() + item.n_tokens();
        if (end > shape_.n_ctx)
            return fail(ErrorCode::limit, "{} tokens do not fit: a timeline holds {}", end, shape_.n_ctx);
        ATLAS_CHECK(item.timeline->pages_needed(item.n_tokens()) == 0, "a timeline has not reserved room");
    }
    ATLAS_CHECK(!items.empty() && items.size() <= shape_.max_timelines && n_tokens <= shape_.n_batch &&
                    n_outputs <= shape_.max_outputs,
                "a step of {} timelines, {} tokens and {} outputs", items.size(), n_tokens, n_outputs);
    return {};
}

StepKey StepRunner::key_for(uint32_t n_tokens, uint32_t n_outputs, uint32_t n_keys, bool chooses) const {
    StepKey key;
    key.max_kv_tokens = kv_bucket(n_keys);
    key.chooses = chooses;
    key.n_tokens = n_tokens;
    key.n_outputs = n_outputs;
    if (serves_ == Serves::one) return key;
    key.n_tokens = std::min(step_size_bucket(n_tokens), shape_.n_batch);
    // All rows are wanted in the most frequent step, a decode of each timeline.
    if (n_outputs == n_tokens && key.n_tokens <= shape_.max_outputs)
        key.n_outputs = key.n_tokens;
    else if (n_outputs > 0)
        key.n_outputs = std::min({std::bit_ceil(n_outputs), shape_.max_outputs, key.n_tokens});
    return key;
}

StepKey StepRunner::key_of(std::span<const StepItem> items) const {
    uint32_t n_tokens = 0, n_outputs = 0;
    size_t n_keys = 0;
    bool chooses = false;
    for (const StepItem& item : items) {
        n_tokens += item.n_tokens();
        n_outputs += item.n_outputs;
        n_keys = std::max(n_keys, item.timeline->tokens().size() + item.n_tokens());
        chooses = chooses || !item.choices.empty();
    }
    return key_for(n_tokens, n_outputs, static_cast<uint32_t>(n_keys), chooses);
}

Result<void> StepRunner::run(std::span<const StepItem> items, std::span<Program* const> before) {
    ATLAS_TRY_VOID(check(items));
    const StepKey key = key_of(items);
    ATLAS_TRY(Program * program, program_for(key));
    ATLAS_TRY_VOID(pool_->finish_copies());
    tables_.write(items, key);
    write_choices(items, key);
    Backend& backend = model_->backend();
    if (before.empty()) {
        ATLAS_TRY_VOID(backend.run(*program));
    } else {
        std::vector<Program*> programs(before.begin(), before.end());
        programs.push_back(program);
        ATLAS_TRY(const uint64_t ticket, backend.submit_all(programs));
        ATLAS_TRY_VOID(backend.wait(ticket));
    }
    count(items, key);
    n_rows_.clear();
    for (const StepItem& item : items) {
        n_rows_.push_back(item.n_outputs);
        if (item.n_drafted == 0) item.timeline->append(item.tokens);
    }
    is_read_.assign(items.size(), false);
    if (key.chooses) tables_.read_results(StepPlace::here, 0, std::span(results_).first(key.n_outputs));
    return {};
}

void StepRunner::count(std::span<const StepItem> items, const StepKey& key) {
    ++counts_.steps;
    const uint32_t n_tokens = std::accumulate(items.begin(), items.end(), 0u,
                                              [](uint32_t n, const StepItem& item) { return n + item.n_tokens(); });
    counts_.timelines += items.size();
    counts_.tokens += n_tokens;
    counts_.padded_tokens += key.n_tokens - n_tokens;
    if (items.size() > 1) counts_.shared_positions += tables_.shared_positions();
}

Result<uint64_t> StepRunner::shrink(uint64_t bytes, uint32_t least_tokens, std::span<Timeline* const> timelines) {
    if (pool_->n_pages() <= std::max(pool_->n_in_use(), pages_for(least_tokens))) return 0;
    steps_.clear();  // recorded steps read the old storages
    drafting_steps_.clear();
    auto given = pool_->shrink(bytes, pages_for(least_tokens), timelines);
    shape_.pool_tokens = pool_->n_pages() * kPageTokens;
    shape_.n_ctx = std::min(shape_.n_ctx, shape_.pool_tokens);
    plan_.n_ctx = shape_.pool_tokens;
    plan_.kv_bytes = sum_of(kv_storages(model_->config(), pool_->rows(), shape_.kv_format)) +
                     sum_of(state_storages(model_->config(), pool_->states().n_slots()));
    return given;
}

bool StepRunner::can_choose(const SamplerOptions& options) const {
    return model_->config().n_vocab <= kMostLogits && !has_penalties(options);
}

// Rows whose choice is not used choose as the last one that is: a row that repeats its token then repeats its choice.
void StepRunner::write_choices(std::span<const StepItem> items, const StepKey& key) {
    if (!key.chooses) return;
    static const ChoiceParams any = sample_params({.temperature = 0}, 0, false, false);
    ChoiceParams last = any;
    std::fill_n(params_.begin(), key.n_outputs, any);
    uint32_t end = 0;
    for (size_t i = 0; i < items.size(); ++i) {
        const auto at = tables_.first_rows()[i];
        std::copy(items[i].choices.begin(), items[i].choices.end(), params_.begin() + at);
        if (items[i].choices.empty()) continue;
        last = items[i].choices.back();
        end = at + items[i].n_outputs;
    }
    std::fill(params_.begin() + end, params_.begin() + key.n_outputs, last);
    tables_.write_choices(key, std::span(params_).first(key.n_outputs));
}

Result<TokenId> StepRunner::chosen(size_t item, uint32_t row) const {
    ATLAS_CHECK(row < n_rows_.at(item), "row {} of {}", row, n_rows_.at(item));
    ATLAS_TRY(const Choice choice, tables_.choice_of(results_[tables_.first_rows()[item] + row]));
    return choice.token;
}

std::span<const float> StepRunner::logits(size_t item) const {
    const size_t n_vocab = model_->config().n_vocab;
    const auto first = tables_.first_rows()[item];
    const auto rows = std::span(logits_).subspan(first * n_vocab, n_rows_.at(item) * n_vocab);
    if (!is_read_[item]) tables_.read_logits(first, rows);
    is_read_[item] = true;
    return rows;
}

void StepRunner::record(const StepKey& key, Ops& ops) const {
    Tensor logits;
    if (key.n_outputs > 0) logits = tables_.logits(key.n_outputs);
    if (key.n_tokens > 0) {
        model_->architecture().forward({model_->config(), model_->weights(), pool_->layers(), tables_.views(key),
                                        logits, pool_->states().layers()},
                                       ops);
    }
    if (!key.chooses) return;
    ops.label("sample");
    if (key.n_tokens == 0) logits = logits.row_range(key.n_outputs - 1, 1);
    // ids that another model does not know have no row in its table
    if (key.n_known_ids > 0) logits = logits.col_range(0, key.n_known_ids);
    ops.sample(logits, tables_.choices(key));
}

Result<Program*> StepRunner::program_for(const StepKey& key) {
    const bool drafts = key.place == StepPlace::drafts;
    ProgramCache& cache = drafts ? drafting_steps_ : steps_;
    if (Program* program = cache.find(key)) return program;
    const std::string name = fmt::format("{} of {} tokens, {} outputs, {} keys",
                                         drafts        ? "drafting step"
                                         : key.chooses ? "choosing step"
                                                       : "step",
                                         key.n_tokens, key.n_outputs, key.max_kv_tokens);
    ATLAS_TRY(auto program, model_->backend().record(name, [this, key](Ops& ops) { record(key, ops); }));
    ++counts_.recordings;
    return cache.add(key, std::move(program));
}

Result<bool> StepRunner::prepare(const StepKey& key) {
    const bool known = has_program(key);
    ATLAS_TRY_VOID(program_for(key));
    return !known;
}

}  // namespace atlas
