#include "tools/chat/replies.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "runtime/gguf/file_error.h"
#include "tools/answer_report.h"
#include "tools/fit_columns.h"
#include "tools/interactive_backend.h"
#include "tools/messages.h"
#include "tools/progress_bar.h"
#include "tools/prompt.h"
#include "tools/wide_text.h"

namespace atlas::tools {

namespace {

bool is_terminal(std::FILE* file) { return isatty(fileno(file)) != 0; }

}  // namespace

Result<std::vector<TokenId>> Replies::prompt_of(const nlohmann::ordered_json& window) const {
    ATLAS_TRY(const std::string text, chat_prompt_.render({.messages = window}));
    return chat_tokens(*open_.tokenizer, text);
}

Result<void> Replies::check(const Conversation& conversation) const {
    ATLAS_TRY_VOID(prompt_of(conversation.window()));
    return {};
}

// A prompt with room for an answer. When turns must be left out, half of the context is freed at once. What follows
// them moves to other positions and is read again (the system text stays in the cache), so that must not happen with
// every question.
Result<std::vector<TokenId>> Replies::fitted_prompt(Conversation& conversation) {
    ATLAS_TRY(auto tokens, prompt_of(conversation.window()));
    const size_t n_ctx = context_tokens();
    const size_t room = sampling_.max_tokens > 0 ? std::min<size_t>(sampling_.max_tokens, n_ctx / 2) : n_ctx / 8;
    if (policy_ == ContextPolicy::stop || tokens.size() + room <= n_ctx) return tokens;
    const size_t most = n_ctx - std::max(room, n_ctx / 2);
    ATLAS_TRY(const size_t n_left_out, conversation.shorten([&](const nlohmann::ordered_json& window) -> Result<bool> {
        ATLAS_TRY(const auto shorter, prompt_of(window));
        return shorter.size() <= most;
    }));
    n_left_out_ += n_left_out;
    return n_left_out > 0 ? prompt_of(conversation.window()) : tokens;
}

// The same in the middle of an answer; empty if it would free too little.
Result<std::vector<TokenId>> Replies::make_room(Conversation& conversation, size_t n_answer) {
    const size_t n_ctx = context_tokens();
    ATLAS_TRY(const size_t n_left_out, conversation.shorten([&](const nlohmann::ordered_json& window) -> Result<bool> {
        ATLAS_TRY(const auto shorter, prompt_of(window));
        return shorter.size() + n_answer <= n_ctx / 2;
    }));
    n_left_out_ += n_left_out;
    if (n_left_out == 0) return std::vector<TokenId>{};
    ATLAS_TRY(auto tokens, prompt_of(conversation.window()));
    if (tokens.size() + n_answer > n_ctx - n_ctx / 8) tokens.clear();
    return tokens;
}

void Replies::write(std::string_view piece) {
    text_ += piece;
    write_stdout(is_terminal(stdout) ? for_terminal(piece) : std::string(piece));
    open_.watch->tick();
}

Result<GenerateReport> Replies::answer(Conversation& conversation, uint32_t n_retries, const std::stop_token& stop) {
    text_.clear();
    n_left_out_ = 0;
    ATLAS_TRY(const auto tokens, fitted_prompt(conversation));
    GenerateOptions options = generate_options(sampling_);
    options.sampler.seed += n_retries;
    options.stop = stop;
    options.speculation = speculation_;
    if (policy_ == ContextPolicy::shift) {
        options.make_room = [&](std::span<const TokenId> answer) { return make_room(conversation, answer.size()); };
    }
    ProgressBar reading("reading", {.unit = "tokens"});
    reading.show(0, tokens.size());
    const auto emit = [&](std::string_view piece) {
        reading.wipe();
        write(piece);
    };
    const auto progress = [&](uint32_t done, uint32_t total) {
        reading.show(done, total);
        open_.watch->look();
    };
    const double kernels_before = kernels_ms();
    auto report = generate(*open_.session, open_.tokenizer, tokens, options, emit, progress);
    if (report) report->kernels_ms = kernels_ms() - kernels_before;
    reading.wipe();
    if ((!text_.empty() || report) && !text_.ends_with('\n')) write_stdout("\n");
    if (report) explain_short_context(*report, *open_.session);
    if (n_left_out_ > 0 && (report || !text_.empty())) {
        const bool is_one = n_left_out_ == 1;
        note("the context of {} tokens was full: the model no longer reads the {} (/save still writes {})",
             context_tokens(), is_one ? "oldest message" : fmt::format("{} oldest messages", n_left_out_),
             is_one ? "it" : "them");
    }
    if (!report && report.error().code == ErrorCode::limit) {
        report.error().message +=
            policy_ == ContextPolicy::stop
                ? ". /undo or /clear make room, --context-policy shift leaves out the oldest turns"
                : ". The question is too long even without what was said before";
        // Beyond that a larger context is of no use.
        if (context_tokens() < open_.model->config().n_ctx_train)
            report.error().message += "; a larger --ctx holds more";
    }
    if (!report) return gguf::fail_with_model(open_.file->path(), std::move(report).error());
    return report;
}

void Replies::print_figures(const GenerateReport& report, bool verbose) const {
    write_stderr(fitted_to_stderr(fmt::format("[{}; context {} of {} tokens]\n",
                                              verbose ? verbose_report_line(report) : report_line(report),
                                              open_.session->tokens().size(), context_tokens())));
}

}  // namespace atlas::tools
