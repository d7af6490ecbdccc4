#include "runtime/serve/generation.h"

#include <chrono>

#include "runtime/text/stream_decoder.h"

namespace atlas {

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// The answer as it grows.
class Answer {
  public:
    Answer(GenerateReport& report, StreamDecoder& decoder, const std::function<void(std::string_view)>& emit)
        : report_(report), decoder_(decoder), emit_(emit) {}

    void push(TokenId token) { add(decoder_.push(token)); }
    void finish() { add(decoder_.finish()); }

  private:
    void add(const std::string& text) {
        if (text.empty()) return;
        report_.text += text;
        if (emit_) emit_(text);
    }
    GenerateReport& report_;
    StreamDecoder& decoder_;
    const std::function<void(std::string_view)>& emit_;
};

// Produces the next tokens from one of three sources: verified draft tokens, the device, which is then one step
// ahead, or the host's sampler.
class NextToken {
  public:
    NextToken(Session& session, Sampler& sampler, const GenerateOptions& options)
        : session_(session),
          sampler_(sampler),
          on_device_(options.choose_on_device && session.can_choose(options.sampler)) {
        if (options.speculation != nullptr)
            decoder_.emplace(session, sampler, *options.speculation, options.choose_on_device);
    }
    ~NextToken() { session_.stop_choosing(); }
    NextToken(const NextToken&) = delete;
    NextToken& operator=(const NextToken&) = delete;

    Result<void> start() {
        if (decoder_) return decoder_->start();
        return on_device_ ? session_.start_choosing(sampler_) : Result<void>{};
    }
    /// `n_more`: how many more may be wanted after it. The sampler has accepted it.
    Result<TokenId> choose(uint32_t n_more) {
        if (decoder_) return decoder_->next(n_more);
        TokenId token = 0;
        if (on_device_) {
            ATLAS_TRY(const Choice choice, session_.next_choice(n_more > 0));
            token = choice.token;
            sampler_.skip_draws(1);  // the sampler continues after the number that the device drew
        } else {
            ATLAS_TRY(token, sampler_.sample(session_.logits()));
        }
        sampler_.accept(token);
        return token;
    }
    /// Makes the chosen token part of the timeline.
    Result<void> step(TokenId token) { return decoder_ || on_device_ ? Result<void>{} : session_.step(token); }
    std::optional<SpeculationFigures> figures() const {
        if (!decoder_) return {};
        return decoder_->figures();
    }

  private:
    Session& session_;
    Sampler& sampler_;
    bool on_device_;
    std::optional<SpeculativeDecoder> decoder_;
};

// Whether it failed because the user asked to stop, within a step: then the answer has ended, if it had begun.
template <class T>
bool ends_answer(const Result<T>& done, GenerateReport& report) {
    if (done || done.error().code != ErrorCode::cancelled || report.answer_tokens == 0) return false;
    report.finish = FinishReason::cancelled;
    return true;
}

// How many tokens may follow the next one. `n_held`: prompt and answer so far.
uint32_t tokens_behind(const GenerateReport& report, const GenerateOptions& options, size_t n_held, uint32_t n_ctx) {
    const auto room = static_cast<uint32_t>(n_ctx - std::min<size_t>(n_ctx, n_held));
    return options.max_tokens > 0 ? std::min(room, options.max_tokens - 1 - report.answer_tokens) : room;
}

// When the context is full: brings the session to a shorter prompt and the answer, and returns that prompt's length;
// 0: there is none.
Result<size_t> go_on_with_less(Session& session, const GenerateOptions& options, std::span<const TokenId> answer,
                               const std::function<void(uint32_t, uint32_t)>& progress) {
    if (!options.make_room) return 0;
    ATLAS_TRY(std::vector<TokenId> held, options.make_room(answer));
    const size_t n_prompt = held.size();
    if (n_prompt == 0 || n_prompt + answer.size() >= session.n_ctx()) return 0;
    held.insert(held.end(), answer.begin(), answer.end());
    ATLAS_TRY_VOID(session.sync(held, {.stop = options.stop, .progress = progress}));
    return n_prompt;
}

}  // namespace

double GenerateReport::prefill_tokens_per_s() const {
    return prefill_ms > 0 ? (prompt_tokens - reused_tokens) * 1000.0 / prefill_ms : 0;
}

double GenerateReport::decode_tokens_per_s() const { return decode_ms > 0 ? answer_tokens * 1000.0 / decode_ms : 0; }

Result<GenerateReport> generate(Session& session, const std::shared_ptr<const Tokenizer>& tokenizer,
                                std::span<const TokenId> prompt, const GenerateOptions& options,
                                const std::function<void(std::string_view)>& emit,
                                const std::function<void(uint32_t, uint32_t)>& progress) {
    ATLAS_TRY(Sampler sampler, Sampler::create(options.sampler));
    for (const TokenId token : prompt) sampler.accept(token);

    GenerateReport report;
    report.prompt_tokens = static_cast<uint32_t>(prompt.size());
    const auto prefill_start = Clock::now();
    ATLAS_TRY(report.reused_tokens, session.sync(prompt, {.stop = options.stop, .progress = progress}));

    StreamDecoder decoder(tokenizer, options.stop_strings);
    Answer answer(report, decoder, emit);
    std::optional<NextToken> next;
    next.emplace(session, sampler, options);
    ATLAS_TRY_VOID(next->start());  // a draft model reads the prompt too
    report.prefill_ms = ms_since(prefill_start);
    const auto decode_start = Clock::now();
    size_t n_prompt = prompt.size();
    std::vector<TokenId> answer_tokens;
    double moving_ms = 0;
    for (;;) {
        const bool is_last = options.max_tokens > 0 && report.answer_tokens + 1 >= options.max_tokens;
        const size_t n_held = n_prompt + answer_tokens.size();
        const bool is_full = n_held >= session.n_ctx();
        const auto chosen = next->choose(tokens_behind(report, options, n_held, session.n_ctx()));
        if (ends_answer(chosen, report)) break;
        ATLAS_TRY(const TokenId token, chosen);
        if (tokenizer->is_end_of_generation(token)) {
            report.finish = FinishReason::end_of_generation;
            break;
        }
        ++report.answer_tokens;
        answer_tokens.push_back(token);
        answer.push(token);
        if (decoder.stopped()) {
            report.finish = FinishReason::stop_string;
            break;
        }
        if (is_last) {
            report.finish = FinishReason::max_tokens;
            break;
        }
        if (options.stop.stop_requested()) {
            report.finish = FinishReason::cancelled;
            break;
        }
        if (!is_full) {
            const auto done = next->step(token);
            if (ends_answer(done, report)) break;
            ATLAS_TRY_VOID(done);
            continue;
        }
        const auto moving_start = Clock::now();
        report.speculation = next->figures();
        next.reset();  // a session cannot be moved while it chooses
        const auto moved = go_on_with_less(session, options, answer_tokens, progress);
        if (!moved && moved.error().code != ErrorCode::cancelled) return tl::unexpected(moved.error());
        n_prompt = moved.value_or(0);
        if (n_prompt == 0) {
            report.finish = moved ? FinishReason::context_full : FinishReason::cancelled;
            break;
        }
        next.emplace(session, sampler, options);
        ATLAS_TRY_VOID(next->start());
        moving_ms += ms_since(moving_start);
    }
    answer.finish();
    report.decode_ms = ms_since(decode_start) - moving_ms;
    if (next) report.speculation = next->figures();  // if the prompt was shortened: only of what came after that
    return report;
}

}  // namespace atlas
