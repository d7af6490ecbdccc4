#pragma once
// The first steps of every subcommand that runs a model: find the file, open a device, load with a progress bar, make a
// session.

#include <functional>
#include <memory>
#include <string>

#include "runtime/gguf/reader.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/planner/budget_watch.h"
#include "runtime/session/single/session.h"
#include "runtime/text/tokenizer.h"
#include "tools/model_flags.h"
#include "tools/speculation_flags.h"

namespace atlas::tools {

/// Everything a conversation needs; destroyed in the right order.
struct OpenModel {
    std::unique_ptr<gguf::File> file;
    // Null: no draft. Its vocabulary was checked and its memory is part of the plan.
    std::unique_ptr<gguf::File> draft_file;
    std::shared_ptr<const Tokenizer> tokenizer;
    std::unique_ptr<VkBackend> backend;
    std::shared_ptr<const Model> model;
    uint32_t n_ctx = 0;  // the chosen context
    KvFormats kv;
    std::optional<uint32_t> max_checkpoints = {};
    std::unique_ptr<Session> session;
    std::unique_ptr<BudgetWatch> watch;  // tick() it while the session runs; draft_tokens_by() adds a draft

    /// Call once the draft is loaded: when memory is short, its cache shrinks first. It must outlive the use of
    /// `watch`.
    void draft_tokens_by(Speculators* speculation);
    DraftTarget draft_target() const { return {*backend, *model, draft_file.get(), n_ctx, kv}; }
};

/// Opens file and vocabulary, takes the device, loads, and makes a session. Notes and progress go to stderr.
/// `max_outputs`: most logit rows per step.
Result<OpenModel> open_model(const ModelFlags& flags, uint32_t max_outputs = 1);
/// The same with room for speculation: for as many rows as a verify step checks, and for the draft in the device's
/// memory.
Result<OpenModel> open_model(const ModelFlags& flags, const SpeculationFlags& speculation);
/// Checks the files of a model and its draft before a device is opened.
using CheckFiles = std::function<Result<void>(const OpenModel&)>;
/// The same without a session and its cache, for callers that hold many timelines. `engine`: what their steps will
/// hold. The context leaves room for all of it.
Result<OpenModel> open_without_session(const ModelFlags& flags, const SpeculationFlags& speculation,
                                       SessionShape engine, const CheckFiles& on_files);

}  // namespace atlas::tools
