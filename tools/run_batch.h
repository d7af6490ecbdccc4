#pragma once
// Many prompts at once: `atlas-vk run --prompts FILE`.

#include <filesystem>
#include <functional>
#include <string>

#include "tools/open_model.h"

namespace atlas::tools {

struct BatchFlags {
    std::string prompts;    // a file, or - for stdin; empty: a single prompt
    uint32_t parallel = 8;  // prompts that are answered at a time
    uint32_t pool_tokens =
        0;               // of the KV cache that they share; 0: --ctx, or what `parallel` contexts take if that fits
    std::string json;    // where the figures go; "-" stdout
    bool force = false;  // replace that file
};

void add_batch_flags(CLI::App& command, BatchFlags& flags);

/// Renders a prompt's text as the model expects it.
using PromptTokens = std::function<Result<std::vector<TokenId>>(const OpenModel& open, const std::string& prompt)>;

/// Answers every prompt of the file. Each gets a line of JSON on stdout, in the order of the prompts, as soon as all
/// earlier ones are written; figures go to stderr. The line of a prompt that cannot be answered says why; when the
/// device fails, the unfinished prompts get such lines, too. Fails: not_found, io, limit (some prompts have no answer),
/// and as loading and running a model.
Result<void> run_batch(const ModelFlags& model, const SamplingFlags& sampling, const SpeculationFlags& speculation,
                       const BatchFlags& flags, const ReportFlags& report, const PromptTokens& tokens_of);

}  // namespace atlas::tools
