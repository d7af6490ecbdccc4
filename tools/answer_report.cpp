#include "tools/answer_report.h"

#include <fmt/format.h>

#include "runtime/base/units.h"
#include "tools/fit_columns.h"
#include "tools/messages.h"
#include "tools/progress_bar.h"

namespace atlas::tools {

namespace {

std::string_view words_for(FinishReason reason) {
    switch (reason) {
        case FinishReason::end_of_generation:
            return "complete";
        case FinishReason::stop_string:
            return "stop string";
        case FinishReason::max_tokens:
            return "cut at --max-tokens";
        case FinishReason::context_full:
            return "context full";
        case FinishReason::cancelled:
            return "stopped";
    }
    return "";
}

// Empty if no draft token was checked.
std::string speculation_text(const SpeculationFigures& f) {
    if (f.n_blocks == 0) return "";
    const std::string speed_up =
        f.speed_up() > 0 ? fmt::format(", {:.2f} x plain", f.speed_up()) : "";  // known once both were timed
    return fmt::format(
        "; {} of {} draft tokens accepted, {:.2f} tokens per step{}; draft {:.1f} ms, verify {:.1f} ms, host {:.1f} ms",
        f.n_accepted, f.n_draft_tokens, f.tokens_per_step(), speed_up, f.draft_ms, f.verify_ms,
        f.host_ms + f.record_ms);
}

// A speed that is mostly the compiler's says nothing of the next answer's.
std::string_view words_for_kernels(const GenerateReport& report) {
    constexpr double kShareThatCounts = 0.1, kMostMsOfReading = 1000;  // reading compiled ones takes less
    const bool counts = report.kernels_ms > kMostMsOfReading &&
                        report.kernels_ms > kShareThatCounts * (report.prefill_ms + report.decode_ms);
    return counts ? " (first run: kernels were compiled)" : "";
}

}  // namespace

void explain_short_context(const GenerateReport& report, const Session& session) {
    if (report.finish != FinishReason::context_full || session.n_ctx() == session.n_ctx_at_first()) return;
    note(
        "the context is full: it holds {} tokens since other programs took memory of the device, {} before. Close them "
        "and start again",
        session.n_ctx(), session.n_ctx_at_first());
}

std::string report_line(const GenerateReport& report) {
    std::string line = count_of(report.answer_tokens, "token");
    if (report.answer_tokens > 0 && report.decode_ms > 0)
        line += fmt::format(", {:.1f} tokens/s", report.decode_tokens_per_s());
    line += words_for_kernels(report);
    // A gain only: what is none is among the figures of -v.
    const bool gained =
        report.speculation && report.speculation->n_blocks > 0 && report.speculation->speed_up() >= 1.05;
    if (gained) line += fmt::format(", drafting {:.1f}x", report.speculation->speed_up());
    if (report.finish != FinishReason::end_of_generation && report.finish != FinishReason::stop_string)
        line += fmt::format(" ({})", words_for(report.finish));
    return line;
}

std::string verbose_report_line(const GenerateReport& report) {
    const std::string drafts = report.speculation ? speculation_text(*report.speculation) : "";
    const std::string reused = report.reused_tokens > 0 ? fmt::format(" ({} reused)", report.reused_tokens) : "";
    return fmt::format("prompt {}{}, {:.1f} tokens/s; answer {}, {:.1f} tokens/s{}{}; {}",
                       count_of(report.prompt_tokens, "token"), reused, report.prefill_tokens_per_s(),
                       count_of(report.answer_tokens, "token"), report.decode_tokens_per_s(), words_for_kernels(report),
                       drafts, words_for(report.finish));
}

void print_report(const GenerateReport& report, bool verbose) {
    write_stderr(fitted_to_stderr(fmt::format("[{}]\n", verbose ? verbose_report_line(report) : report_line(report))));
}

}  // namespace atlas::tools
