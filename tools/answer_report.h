#pragma once
// The figures and explanations that follow an answer on stderr.

#include <string>

#include "runtime/serve/generation.h"

namespace atlas::tools {

/// Prints on stderr that an answer ended because the context had shrunk, if that is why it ended.
void explain_short_context(const GenerateReport& report, const Session& session);

/// "41 tokens, 11.3 tokens/s, drafting 1.3x" (where drafting gained), and why the answer ended if the model did not end
/// it.
std::string report_line(const GenerateReport& report);
/// All figures: the prompt, the reused tokens, draft tokens, times.
std::string verbose_report_line(const GenerateReport& report);

/// Prints one of the two on stderr.
void print_report(const GenerateReport& report, bool verbose);

}  // namespace atlas::tools
