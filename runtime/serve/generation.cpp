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
    report.prefill_ms = ms_since(prefill_start);

    StreamDecoder decoder(tokenizer, options.stop_strings);
    Answer answer(report, decoder, emit);
    const auto decode_start = Clock::now();
    for (;;) {
        ATLAS_TRY(const TokenId token, sampler.sample(session.logits()));
        if (tokenizer->is_end_of_generation(token)) {
            report.finish = FinishReason::end_of_generation;
            break;
        }
        sampler.accept(token);
        ++report.answer_tokens;
        answer.push(token);
        if (decoder.stopped()) {
            report.finish = FinishReason::stop_string;
            break;
        }
        if (options.max_tokens > 0 && report.answer_tokens >= options.max_tokens) {
            report.finish = FinishReason::max_tokens;
            break;
        }
        if (session.tokens().size() >= session.n_ctx()) {
            report.finish = FinishReason::context_full;
            break;
        }
        if (options.stop.stop_requested()) {
            report.finish = FinishReason::cancelled;
            break;
        }
        ATLAS_TRY_VOID(session.step(token));
    }
    answer.finish();
    report.decode_ms = ms_since(decode_start);
    return report;
}

}  // namespace atlas
