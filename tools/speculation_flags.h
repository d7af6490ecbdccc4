#pragma once
// --lookup, --draft and --draft-max: what proposes draft tokens.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "runtime/gguf/reader.h"
#include "runtime/session/speculation/batch_speculation.h"
#include "runtime/session/speculation/draft_model.h"
#include "runtime/session/speculation/lookup.h"
#include "runtime/session/speculation/speculation.h"
#include "runtime/text/tokenizer.h"

namespace atlas::tools {

struct OpenModel;

struct SpeculationFlags {
    std::vector<std::string> lookup{"on"};  // "on", "off", or files
    std::string draft = "none";             // "none", "auto", or a model
    uint32_t draft_max = 23;
};

/// --lookup, --draft and --draft-max.
void add_speculation_flags(CLI::App& command, SpeculationFlags& flags);
/// Most logit rows per step that these flags need.
uint32_t rows_for(const SpeculationFlags& flags);

/// The model that a draft proposes for.
struct DraftTarget {
    Backend& backend;
    const Model& model;
    const gguf::File* draft_file = nullptr;  // of open_draft_file; null: no draft
    uint32_t n_ctx = 0;
    KvFormats kv;
};

/// The file that --draft names or, with auto, the largest stored model of the same vocabulary that is small enough;
/// null where there is none. Fails: not_found, what opening a file can, unsupported (another vocabulary).
Result<std::unique_ptr<gguf::File>> open_draft_file(const SpeculationFlags& flags, const gguf::File& target,
                                                    const Tokenizer& tokenizer);

/// A lookup with the texts of --lookup; null: off. Fails: not_found, io, limit (its files).
Result<std::unique_ptr<LookupSpeculator>> make_lookup(const SpeculationFlags& flags, const Tokenizer& tokenizer);
/// Loads the draft, with a context as long as the target's; null: there is none. The target must outlive it. Fails:
/// what opening a model can.
Result<std::unique_ptr<DraftModel>> make_draft(const DraftTarget& target);

/// make_lookup and make_draft together; null if the flags ask for neither. `open` must outlive it.
/// Fails: as those.
Result<std::unique_ptr<Speculators>> make_speculation(const SpeculationFlags& flags, const OpenModel& open);
/// The same for an engine that answers several requests at a time, with a draft's cache for `draft_contexts` of them.
Result<std::unique_ptr<BatchSpeculation>> make_batch_speculation(const SpeculationFlags& flags, const OpenModel& open,
                                                                 uint32_t parallel, uint32_t draft_contexts);

}  // namespace atlas::tools
