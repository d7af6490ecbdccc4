#include "runtime/serve/generation.h"

#include <chrono>

#include "runtime/text/stream_decoder.h"

namespace atlas {

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

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

// Where the next token comes from: guesses that were checked, the device, which is then one step ahead, or the host's sampler.
class NextToken {
  public:
    NextToken(Session& session, Sampler& sampler, const GenerateOptions& options)
        : session_(session), sampler_(sampler), on_device_(options.choose_on_device && session.can_choose(options.sampler)) {
        if (options.speculation != nullptr) decoder_.emplace(session, sampler, *options.speculation, options.choose_on_device);
    }
    ~NextToken() { session_.stop_choosing(); }
    NextToken(const NextToken&) = delete;
    NextToken& operator=(const NextToken&) = delete;

    Result<void> start() {
        if (decoder_) return decoder_->start();
        return on_device_ ? session_.start_choosing(sampler_) : Result<void>{};
    }
    /// `n_more`: how many more may be wanted behind it. The sampler has accepted it.
    Result<TokenId> choose(uint32_t n_more) {
        if (decoder_) return decoder_->next(n_more);
        TokenId token = 0;
        if (on_device_) {
            ATLAS_TRY(const Choice choice, session_.next_choice(n_more > 0));
            token = choice.token;
        } else {
            ATLAS_TRY(token, sampler_.sample(session_.logits()));
        }
        sampler_.accept(token);
        return token;
    }
    /// The token that was chosen is part of the timeline from now on.
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

// How many tokens may follow the next one.
uint32_t tokens_behind(const GenerateReport& report, const GenerateOptions& options, uint32_t n_ctx) {
    const uint32_t room = n_ctx - std::min(n_ctx, report.prompt_tokens + report.answer_tokens);
    return options.max_tokens > 0 ? std::min(room, options.max_tokens - 1 - report.answer_tokens) : room;
}

}  // namespace

double GenerateReport::prefill_tokens_per_s() const {
    return prefill_ms > 0 ? (prompt_tokens - reused_tokens) * 1000.0 / prefill_ms : 0;
}

double GenerateReport::decode_tokens_per_s() const { return decode_ms > 0 ? answer_tokens * 1000.0 / decode_ms : 0; }

Result<GenerateReport> generate(Session& session, const std::shared_ptr<const Tokenizer>& tokenizer, std::span<const TokenId> prompt,
                                const GenerateOptions& options, const std::function<void(std::string_view)>& emit,
                                const std::function<void(uint32_t, uint32_t)>& progress) {
    ATLAS_TRY(Sampler sampler, Sampler::create(options.sampler));
    for (const TokenId token : prompt) sampler.accept(token);

    GenerateReport report;
    report.prompt_tokens = static_cast<uint32_t>(prompt.size());
    const auto prefill_start = Clock::now();
    ATLAS_TRY(report.reused_tokens, session.sync(prompt, {.stop = options.stop, .progress = progress}));

    StreamDecoder decoder(tokenizer, options.stop_strings);
    Answer answer(report, decoder, emit);
    NextToken next(session, sampler, options);
    ATLAS_TRY_VOID(next.start());  // a draft model reads the prompt, too
    report.prefill_ms = ms_since(prefill_start);
    const auto decode_start = Clock::now();
    for (;;) {
        const bool is_last = options.max_tokens > 0 && report.answer_tokens + 1 >= options.max_tokens;
        const bool is_full = report.prompt_tokens + report.answer_tokens >= session.n_ctx();
        ATLAS_TRY(const TokenId token, next.choose(tokens_behind(report, options, session.n_ctx())));
        if (tokenizer->is_end_of_generation(token)) {
            report.finish = FinishReason::end_of_generation;
            break;
        }
        ++report.answer_tokens;
        answer.push(token);
        if (decoder.stopped()) {
            report.finish = FinishReason::stop_string;
            break;
        }
        if (is_last || is_full) {
            report.finish = is_last ? FinishReason::max_tokens : FinishReason::context_full;
            break;
        }
        if (options.stop.stop_requested()) {
            report.finish = FinishReason::cancelled;
            break;
        }
        ATLAS_TRY_VOID(next.step(token));
    }
    answer.finish();
    report.decode_ms = ms_since(decode_start);
    report.speculation = next.figures();
    return report;
}

}  // namespace atlas
