#pragma once
// What every subcommand that runs a model does first: find the file, take a device, load with a progress bar, make a session.

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "runtime/gguf/reader.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/planner/budget_watch.h"
#include "runtime/planner/context.h"
#include "runtime/session/batch_speculation.h"
#include "runtime/session/draft_model.h"
#include "runtime/session/lookup.h"
#include "runtime/session/session.h"
#include "runtime/text/tokenizer.h"
#include "runtime/serve/generation.h"

namespace atlas::tools {

struct ModelFlags {
    std::string model;   // a stored name or a path
    std::string device;  // index, part of the name, or UUID; empty: the best
    uint32_t n_ctx = 0;  // 0: as much as fits in comfort (runtime/planner/context.h)
    std::string kv_type = "f16";  // or "q8_0:q4_0", keys and values apart
    std::string kv_rotation = "auto";
    std::string memory_limit;  // "6G"; empty: what the driver's budget allows
    std::string keep_free;     // "1G" for others; empty: no more than the rule keeps
    bool validate = false;
};

/// The formats with what --kv-rotation says: auto, none, k, v or kv.
Result<KvFormats> kv_formats(std::string_view formats, std::string_view rotation);
/// The options --kv, also spelled --kv-type, and --kv-rotation.
void add_kv_flags(CLI::App& command, std::string& kv_type, std::string& rotation);
/// The option --keep-free.
void add_keep_free_flag(CLI::App& command, std::string& keep_free);

/// How much context the file gets on the backend, beside a draft if there is one. Fails: as choose_context.
Result<ContextChoice> fit_context(const gguf::File& file, const VkBackend& backend, const SessionShape& shape, const std::string& keep_free,
                                  const gguf::File* draft = nullptr);

void add_model_flags(CLI::App& command, ModelFlags& flags);

struct SamplingFlags {
    SamplerOptions sampler;
    std::optional<uint64_t> seed;
    uint32_t max_tokens = 0;
    std::vector<std::string> stop_strings;
};

void add_sampling_flags(CLI::App& command, SamplingFlags& flags);
/// The options with a seed drawn from the system where none was given.
GenerateOptions generate_options(const SamplingFlags& flags);

struct SpeculationFlags {
    std::vector<std::string> lookup{"on"};  // "on", "off", or files
    std::string draft = "none";         // "none", "auto", or a model
    uint32_t draft_max = 23;
};

/// --lookup, --draft and --draft-max.
void add_speculation_flags(CLI::App& command, SpeculationFlags& flags);
/// Most logit rows per step that these flags need.
uint32_t rows_for(const SpeculationFlags& flags);

/// Whom a draft guesses for.
struct DraftTarget {
    Backend& backend;
    const Model& model;
    const gguf::File* draft_file = nullptr;  // of open_draft_file; null: no draft
    uint32_t n_ctx = 0;
    KvFormats kv;
};

/// Everything a conversation needs; destroyed in the right order.
struct OpenModel {
    std::unique_ptr<gguf::File> file;
    std::unique_ptr<gguf::File> draft_file;  // null: no draft; its vocabulary was checked and its memory reckoned with
    std::shared_ptr<const Tokenizer> tokenizer;
    std::unique_ptr<VkBackend> backend;
    std::shared_ptr<const Model> model;
    uint32_t n_ctx = 0;  // what was chosen
    KvFormats kv;
    std::unique_ptr<Session> session;
    std::unique_ptr<BudgetWatch> watch;  // tick() it while the session runs; guesses_by() tells it of a draft

    /// Once the draft is there: where memory is short its cache shrinks first. To live as long as `watch` is asked.
    void guesses_by(Speculators* speculation);
    DraftTarget draft_target() const { return {*backend, *model, draft_file.get(), n_ctx, kv}; }
};

/// Opens file and vocabulary, takes the device, loads, and makes a session. Notes and progress go to stderr.
/// `max_outputs`: most logit rows per step.
Result<OpenModel> open_model(const ModelFlags& flags, uint32_t max_outputs = 1);
/// The same with room for who guesses: for as many rows as are checked in a step, and for the draft in the device's memory.
Result<OpenModel> open_model(const ModelFlags& flags, const SpeculationFlags& speculation);
/// The same without a session, for those who hold many timelines: its cache is not taken.
Result<OpenModel> open_without_session(const ModelFlags& flags, const SpeculationFlags& speculation);

/// The file that --draft names or, with auto, the largest stored model of the same vocabulary that is small enough; null where there is none.
/// Fails: not_found, what opening a file can, unsupported (another vocabulary).
Result<std::unique_ptr<gguf::File>> open_draft_file(const SpeculationFlags& flags, const gguf::File& target, const Tokenizer& tokenizer);

/// With the texts of --lookup; null: off. Fails: not_found, io, limit (its files).
Result<std::unique_ptr<LookupSpeculator>> make_lookup(const SpeculationFlags& flags, const Tokenizer& tokenizer);
/// Loads the draft, with a context as long as the target's; null: there is none. The target must outlive it. Fails: what opening a model can.
Result<std::unique_ptr<DraftModel>> make_draft(const DraftTarget& target);

/// Who guesses, or null where nobody is wanted: make_lookup and make_draft. `open` must outlive it.
/// Fails: as those.
Result<std::unique_ptr<Speculators>> make_speculation(const SpeculationFlags& flags, const OpenModel& open);
/// The same for an engine that answers several requests at a time, with a draft's cache for `draft_contexts` of them.
Result<std::unique_ptr<BatchSpeculation>> make_batch_speculation(const SpeculationFlags& flags, const OpenModel& open, uint32_t parallel, uint32_t draft_contexts);

/// A rendered chat prompt as tokens: special tokens recognised, and BOS in front where the vocabulary wants one and the template wrote none.
std::vector<TokenId> chat_tokens(const Tokenizer& tokenizer, std::string_view text);

/// Prints what the validation layers said (--validate); fails if they said anything.
Result<void> check_validation(const ModelFlags& flags, OpenModel& open);

/// Says on stderr that an answer ended because the context had shrunk; else nothing.
void explain_short_context(const GenerateReport& report, const Session& session);

/// One line to stderr: tokens and tokens/s of prompt and answer, and why it ended.
void print_report(const GenerateReport& report);

}  // namespace atlas::tools
