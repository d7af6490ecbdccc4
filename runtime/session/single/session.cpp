#include "runtime/session/single/session.h"

#include <algorithm>
#include <bit>

namespace atlas {

namespace {

// One decode step, whole chunks with and without an output and a prompt's last partial chunk, each in two buckets of
// context; a choice, and steps with a choice on both buffers; six widths of verify steps in two buckets.
constexpr size_t kMaxRecorded = 24;

// Attention is recorded for at least this many keys, then for powers of two: a timeline of 128k tokens records ten
// decode steps in all.
constexpr uint32_t kSmallestKvBucket = 256;

}  // namespace

uint32_t Session::kv_bucket(uint32_t n_kv_tokens) const {
    return std::min(plan_.n_ctx, std::max(kSmallestKvBucket, std::bit_ceil(n_kv_tokens)));
}

namespace {

// How many tokens the running call will hold when it ends.
class Announced {
  public:
    Announced(uint32_t& place, size_t n_tokens) : place_(place) { place_ = static_cast<uint32_t>(n_tokens); }
    ~Announced() { place_ = 0; }
    Announced(const Announced&) = delete;
    Announced& operator=(const Announced&) = delete;

  private:
    uint32_t& place_;
};

}  // namespace

Session::Session(std::shared_ptr<const Model> model) : model_(std::move(model)) {}
Session::~Session() { stop_choosing(); }

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const SessionShape& shape) {
    ATLAS_CHECK(model != nullptr);
    std::unique_ptr<Session> session(new Session(std::move(model)));
    session->shape_ = shape;
    ATLAS_TRY(session->plan_, session->model_->plan_session(shape));
    ATLAS_TRY_VOID(session->allocate());
    session->n_ctx_at_first_ = session->plan_.n_ctx;
    return session;
}

Result<void> Session::allocate() {
    Backend& backend = model_->backend();
    const ModelConfig& config = model_->config();
    ATLAS_TRY_VOID(backend.reserve_scratch(plan_.scratch_bytes));
    backend.expect(MemoryUse::step, step_storages(plan_.n_ctx, shape_.n_batch));
    backend.expect(MemoryUse::output, output_storages(config, shape_.max_outputs));
    ATLAS_TRY(kv_, KvLayers::create(backend, config, plan_.n_ctx, shape_.kv_format, "kv"));
    ATLAS_TRY(step_storage_, backend.allocate(MemoryUse::step, step_buffer_bytes(shape_.n_batch), "step"));
    ATLAS_TRY(page_table_storage_, backend.allocate(MemoryUse::step, page_table_bytes(plan_.n_ctx), "page_table"));
    ATLAS_TRY(
        output_storage_,
        backend.allocate(MemoryUse::output, uint64_t{shape_.max_outputs} * config.n_vocab * sizeof(float), "logits"));
    for (auto& step : chain_.steps) {
        ATLAS_TRY(step, backend.allocate(MemoryUse::step, kChainStepBytes, "chain_step"));
    }
    ATLAS_TRY(chain_.state, backend.allocate(MemoryUse::step, kChainStateBytes, "chain_state"));
    ATLAS_TRY(chain_.results, backend.allocate(MemoryUse::output, kChainResultBytes, "chain_results"));

    ATLAS_TRY(verify_params_, backend.allocate(MemoryUse::step, kVerifyParamBytes, "verify_params"));
    ATLAS_TRY(verify_results_, backend.allocate(MemoryUse::output, kVerifyResultBytes, "verify_results"));

    const uint32_t all_positions = UINT32_MAX;  // of the only sequence
    backend.write(*step_storage_, shared_positions_at(shape_.n_batch), std::as_bytes(std::span(&all_positions, 1)));

    pages_ = KvPages(pages_for(plan_.n_ctx));
    page_table_.reserve(pages_.n_pages());
    tokens_.reserve(plan_.n_ctx);
    step_words_.resize(5ull * shape_.n_batch);
    logits_.resize(uint64_t{shape_.max_outputs} * config.n_vocab);
    recorded_.reserve(kMaxRecorded);
    return {};
}

Result<void> Session::check_tokens(std::span<const TokenId> tokens, uint32_t first) const {
    if (tokens.empty()) return fail(ErrorCode::invalid_argument, "no tokens: at least one is needed");
    if (tokens.size() > plan_.n_ctx - first) {
        std::string note;
        if (plan_.n_ctx < n_ctx_at_first_) {
            note =
                fmt::format(" (it held {} before other programs took memory of the device: close them and start again)",
                            n_ctx_at_first_);
        } else if (plan_.n_ctx < model_->config().n_ctx_train) {
            note = fmt::format(" (the model was trained for {})", model_->config().n_ctx_train);
        }
        return fail(ErrorCode::limit, "{} tokens do not fit: the context holds {}{}", first + tokens.size(),
                    plan_.n_ctx, note);
    }
    for (size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i] < model_->config().n_vocab) continue;
        return fail(ErrorCode::invalid_argument, "token {} at position {}: expected an id below {} (the vocabulary)",
                    tokens[i], first + i, model_->config().n_vocab);
    }
    return {};
}

Result<uint32_t> Session::sync(std::span<const TokenId> tokens, const SyncOptions& options) {
    ATLAS_TRY_VOID(check_tokens(tokens, 0));
    const Announced announced(n_announced_, tokens.size());
    const auto differ = std::mismatch(tokens.begin(), tokens.end(), tokens_.begin(), tokens_.end());
    auto reused = static_cast<uint32_t>(differ.first - tokens.begin());
    if (reused == tokens.size() && reused == tokens_.size() && has_logits_) return reused;
    reused = std::min(reused, static_cast<uint32_t>(tokens.size()) - 1);  // the last one runs again for its logits
    rewind(reused);

    const auto total = static_cast<uint32_t>(tokens.size()) - reused;
    for (uint32_t done = 0; done < total;) {
        if (options.stop.stop_requested())
            return fail(ErrorCode::cancelled, "stopped after {} of {} tokens", done, total);
        const uint32_t n_tokens = std::min(shape_.n_batch, total - done);
        const bool is_last = done + n_tokens == total;
        ATLAS_TRY_VOID(run_step(tokens.subspan(reused + done, n_tokens), is_last ? 1 : 0));
        done += n_tokens;
        if (options.progress) options.progress(done, total);
    }
    keep_logits(1);
    return reused;
}

Result<void> Session::step(TokenId token) {
    const std::span<const TokenId> one(&token, 1);
    ATLAS_TRY_VOID(check_tokens(one, static_cast<uint32_t>(tokens_.size())));
    ATLAS_TRY_VOID(run_step(one, 1));
    keep_logits(1);
    return {};
}

Result<void> Session::logits_of_all(std::span<const TokenId> tokens, const LogitsSink& sink, std::stop_token stop) {
    ATLAS_TRY_VOID(check_tokens(tokens, 0));
    const Announced announced(n_announced_, tokens.size());
    rewind(0);
    for (uint32_t done = 0; done < tokens.size();) {
        if (stop.stop_requested())
            return fail(ErrorCode::cancelled, "stopped after {} of {} tokens", done, tokens.size());
        const auto n_tokens = static_cast<uint32_t>(std::min<size_t>(shape_.max_outputs, tokens.size() - done));
        ATLAS_TRY_VOID(run_step(tokens.subspan(done, n_tokens), n_tokens));
        keep_logits(n_tokens);
        (void)logits();
        ATLAS_TRY_VOID(sink(done, std::span(logits_).first(uint64_t{n_tokens} * model_->config().n_vocab)));
        done += n_tokens;
    }
    return {};
}

std::span<const float> Session::logits() const {
    ATLAS_CHECK(has_logits_, "logits() after a rewind or before a step");
    const uint64_t n_vocab = model_->config().n_vocab;
    if (!logits_read_) {
        model_->backend().read(*output_storage_, 0,
                               std::as_writable_bytes(std::span(logits_).first(n_logit_rows_ * n_vocab)));
        logits_read_ = true;
    }
    return std::span(logits_).subspan((n_logit_rows_ - 1) * n_vocab, n_vocab);
}

void Session::rewind(uint32_t n_tokens) {
    ATLAS_CHECK(n_tokens <= tokens_.size(), "rewind to {} of {}", n_tokens, tokens_.size());
    if (n_tokens < tokens_.size()) has_logits_ = false;
    tokens_.resize(n_tokens);
    while (page_table_.size() > pages_for(n_tokens)) {
        pages_.drop(page_table_.back());
        page_table_.pop_back();
    }
}

// Runs a step of tokens after the timeline. On failure the timeline is unchanged; its pages may hold garbage after
// its end.
Result<void> Session::run_step(std::span<const TokenId> tokens, uint32_t n_outputs) {
    const auto n_tokens = static_cast<uint32_t>(tokens.size());
    const auto n_past = static_cast<uint32_t>(tokens_.size());
    ATLAS_TRY(Program * program, program_for({n_tokens, n_outputs, kv_bucket(n_past + n_tokens)}));
    extend_pages(n_past + n_tokens);
    write_step(tokens, n_tokens, n_outputs);
    has_logits_ = false;
    ATLAS_TRY_VOID(model_->backend().run(*program));
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    return {};
}

// The step storage holds five arrays of n_tokens (out_rows: n_outputs), one after the other.
StepViews Session::views_of(const StepKey& key) const {
    const auto view = [&](uint64_t array, uint32_t count) {
        return U32View{step_storage_.get(), array * key.n_tokens * sizeof(uint32_t), count};
    };
    StepViews views{view(0, key.n_tokens),
                    view(1, key.n_tokens),
                    view(2, key.n_tokens),
                    view(3, key.n_tokens),
                    {page_table_storage_.get(), 0, pages_.n_pages()},
                    view(4, key.n_outputs)};
    views.max_pages = pages_.n_pages();
    views.max_kv_tokens = key.max_kv_tokens;
    views.shared_positions = {step_storage_.get(), shared_positions_at(shape_.n_batch), 1};
    return views;
}

void Session::write_step(std::span<const TokenId> tokens, uint32_t n_tokens, uint32_t n_outputs) {
    const auto n_past = static_cast<uint32_t>(tokens_.size());
    uint32_t* words = step_words_.data();
    for (uint32_t t = 0; t < n_tokens; ++t) {
        const uint32_t position = n_past + t;
        words[t] = t < tokens.size() ? tokens[t] : 0;
        words[n_tokens + t] = position;
        words[2 * n_tokens + t] = page_table_[position / kPageTokens] * kPageTokens + position % kPageTokens;
        words[3 * n_tokens + t] = 0;  // the only sequence
    }
    for (uint32_t i = 0; i < n_outputs; ++i) words[4 * n_tokens + i] = n_tokens - n_outputs + i;
    model_->backend().write(*step_storage_, 0, std::as_bytes(std::span(words, 4ull * n_tokens + n_outputs)));
}

void Session::extend_pages(uint32_t n_tokens) {
    const auto first_new = static_cast<uint32_t>(page_table_.size());
    while (page_table_.size() < pages_for(n_tokens)) {
        const std::optional<uint32_t> page = pages_.take();
        ATLAS_CHECK(page.has_value(), "no page left for {} tokens of {}", n_tokens, plan_.n_ctx);
        page_table_.push_back(*page);
    }
    const auto fresh = std::span(page_table_).subspan(first_new);
    if (!fresh.empty()) {
        model_->backend().write(*page_table_storage_, first_new * sizeof(uint32_t), std::as_bytes(fresh));
    }
}

Result<Program*> Session::program_for(const StepKey& key) {
    ++n_uses_;
    for (RecordedStep& step : recorded_) {
        if (step.key != key) continue;
        step.last_use = n_uses_;
        return step.program.get();
    }
    const ModelConfig& config = model_->config();
    const StepViews views = key.chain == 0 ? views_of(key) : chain_views(key);
    Tensor logits;
    if (key.n_outputs > 0) logits = dense(*output_storage_, Format::f32, key.n_outputs, config.n_vocab);
    const auto pass = [this, key, views, logits](Ops& ops) {
        if (key.n_tokens > 0)
            model_->architecture().forward({model_->config(), model_->weights(), kv_.views(), views, logits}, ops);
        if (key.chain > 0) record_choice(key, ops);
        if (key.choose_rows) record_row_choices(key, ops);
    };
    const std::string name =
        fmt::format("{} {} tokens, {} outputs, {} keys", key.chain > 0 || key.choose_rows ? "choosing step" : "step",
                    key.n_tokens, key.n_outputs, key.max_kv_tokens);
    ATLAS_TRY(auto program, model_->backend().record(name, pass));
    if (recorded_.size() == kMaxRecorded) {  // a running program was used last, so it stays
        recorded_.erase(
            std::min_element(recorded_.begin(), recorded_.end(),
                             [](const RecordedStep& a, const RecordedStep& b) { return a.last_use < b.last_use; }));
    }
    recorded_.push_back({key, n_uses_, std::move(program)});
    return recorded_.back().program.get();
}

void Session::keep_logits(uint32_t n_outputs) {
    n_logit_rows_ = n_outputs;
    has_logits_ = true;
    logits_read_ = false;
}

}  // namespace atlas
