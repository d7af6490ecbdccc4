#include "runtime/session/single/session.h"

#include <algorithm>

namespace atlas {

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

Session::Session(std::unique_ptr<StepRunner> runner, const SessionShape& shape)
    : shape_(shape),
      runner_(std::move(runner)),
      timeline_(std::make_unique<Timeline>(runner_->pool())),
      ahead_(std::make_unique<StepsAhead>(*runner_)),
      n_ctx_at_first_(runner_->shape().n_ctx) {
    timeline_->make_room(n_ctx_at_first_);
    params_.reserve(kBatchInvariantWidth);
}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const SessionShape& shape) {
    ATLAS_TRY(auto runner, StepRunner::create(std::move(model), shape, Serves::one));
    return std::unique_ptr<Session>(new Session(std::move(runner), shape));
}

Result<void> Session::check_tokens(std::span<const TokenId> tokens, uint32_t first) const {
    const ModelConfig& config = model().config();
    if (tokens.empty()) return fail(ErrorCode::invalid_argument, "no tokens: at least one is needed");
    if (tokens.size() > n_ctx() - first) {
        std::string note;
        if (n_ctx() < n_ctx_at_first_) {
            note =
                fmt::format(" (it held {} before other programs took memory of the device: close them and start again)",
                            n_ctx_at_first_);
        } else if (n_ctx() < config.n_ctx_train) {
            note = fmt::format(" (the model was trained for {})", config.n_ctx_train);
        }
        return fail(ErrorCode::limit, "{} tokens do not fit: the context holds {}{}", first + tokens.size(), n_ctx(),
                    note);
    }
    for (size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i] < config.n_vocab) continue;
        return fail(ErrorCode::invalid_argument, "token {} at position {}: expected an id below {} (the vocabulary)",
                    tokens[i], first + i, config.n_vocab);
    }
    return {};
}

Result<uint32_t> Session::sync(std::span<const TokenId> tokens, const SyncOptions& options) {
    ATLAS_TRY_VOID(check_tokens(tokens, 0));
    const Announced announced(n_announced_, tokens.size());
    const auto& there = timeline_->tokens();
    const auto differ = std::mismatch(tokens.begin(), tokens.end(), there.begin(), there.end());
    auto reused = static_cast<uint32_t>(differ.first - tokens.begin());
    if (reused == tokens.size() && reused == there.size() && has_logits_) return reused;
    reused = std::min(reused, static_cast<uint32_t>(tokens.size()) - 1);  // the last one runs again for its logits
    reused = rewind(reused);

    const auto total = static_cast<uint32_t>(tokens.size()) - reused;
    for (uint32_t done = 0; done < total;) {
        if (options.stop.stop_requested())
            return fail(ErrorCode::cancelled, "stopped after {} of {} tokens", done, total);
        const uint32_t n_tokens = std::min(shape_.n_batch, total - done);
        const bool is_last = done + n_tokens == total;
        ATLAS_TRY_VOID(run_step({timeline_.get(), tokens.subspan(reused + done, n_tokens), is_last ? 1u : 0u}));
        done += n_tokens;
        if (options.progress) options.progress(done, total);
    }
    return reused;
}

Result<void> Session::step(TokenId token) {
    const std::span<const TokenId> one(&token, 1);
    ATLAS_TRY_VOID(check_tokens(one, static_cast<uint32_t>(tokens().size())));
    return run_step({timeline_.get(), one, 1});
}

Result<void> Session::extend(std::span<const TokenId> tokens, uint32_t n_outputs) {
    ATLAS_CHECK(tokens.size() <= shape_.n_batch && n_outputs <= std::min<size_t>(tokens.size(), shape_.max_outputs),
                "{} tokens and {} outputs in a step of {} and {}", tokens.size(), n_outputs, shape_.n_batch,
                shape_.max_outputs);
    ATLAS_TRY_VOID(check_tokens(tokens, static_cast<uint32_t>(timeline_->tokens().size())));
    return run_step({timeline_.get(), tokens, n_outputs}, std::min(n_outputs, runner_->most_verified()));
}

Result<void> Session::logits_of_all(std::span<const TokenId> tokens, const LogitsSink& sink, std::stop_token stop) {
    ATLAS_TRY_VOID(check_tokens(tokens, 0));
    const Announced announced(n_announced_, tokens.size());
    rewind(0);
    for (uint32_t done = 0; done < tokens.size();) {
        if (stop.stop_requested())
            return fail(ErrorCode::cancelled, "stopped after {} of {} tokens", done, tokens.size());
        const auto n_tokens = static_cast<uint32_t>(std::min<size_t>(shape_.max_outputs, tokens.size() - done));
        ATLAS_TRY_VOID(run_step({timeline_.get(), tokens.subspan(done, n_tokens), n_tokens}));
        ATLAS_TRY_VOID(sink(done, logits_rows()));
        done += n_tokens;
    }
    return {};
}

std::span<const float> Session::logits_rows() const {
    ATLAS_CHECK(has_logits_, "logits after a rewind or before a step");
    return runner_->logits(0);
}

std::span<const float> Session::logits() const { return logits_rows().last(model().config().n_vocab); }

uint32_t Session::rewind(uint32_t n_tokens) {
    const size_t before = tokens().size();
    const uint32_t kept = timeline_->rewind(n_tokens);
    if (kept < before) has_logits_ = false;
    return kept;
}

// On failure the timeline is unchanged; its pages may hold garbage after its end.
Result<void> Session::run_step(const StepItem& item, uint32_t n_states, std::span<Program* const> before) {
    has_logits_ = false;
    ATLAS_TRY(const bool reserved, timeline_->reserve(item.n_tokens(), n_states));
    ATLAS_CHECK(reserved, "no page left for {} tokens after {} of {}", item.n_tokens(), tokens().size(), n_ctx());
    ATLAS_TRY_VOID(runner_->run({&item, 1}, before));
    n_logit_rows_ = item.n_outputs;
    has_logits_ = item.n_outputs > 0 && item.n_drafted == 0;
    return {};
}

Result<void> Session::start_choosing(const Sampler& sampler, bool logprobs) {
    ATLAS_CHECK(has_logits_, "start_choosing() without logits");
    has_logits_ = false;
    return ahead_->start(*timeline_, sampler, n_logit_rows_, logprobs);
}

Result<Choice> Session::next_choice(bool go_on) {
    ATLAS_TRY_VOID(ahead_->next(go_on));
    return ahead_->choice(0);
}

// Pages are taken lowest first, so a session's pages seldom move.
Result<uint64_t> Session::shrink(uint64_t bytes) {
    ATLAS_TRY_VOID(ahead_->wait());
    const auto n_tokens = std::max(static_cast<uint32_t>(timeline_->pages().size()) * kPageTokens, n_announced_);
    Timeline* const timelines[] = {timeline_.get()};
    return runner_->shrink(bytes, n_tokens + kLeastRoomTokens, timelines);
}

}  // namespace atlas
