// --lookup, --draft and --draft-max: where the draft tokens of run and chat come from, and for the many prompts of run
// --prompts.
#include "tools/speculation_flags.h"

#include <algorithm>

#include "runtime/base/in_quotes.h"
#include "runtime/base/mapped_file.h"
#include "runtime/planner/context.h"
#include "runtime/serve/draft_vocabulary.h"
#include "tools/flag_checks.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/open_model.h"

namespace atlas::tools {

namespace {

bool is_word(const std::vector<std::string>& values, const char* word) {
    return values.size() == 1 && values.front() == word;
}

std::string check_draft(const std::string& name) {
    if (name == "auto" || name == "none" || name.empty()) return "";  // an empty one is refused for all flags
    const auto found = find_model(name);
    if (found) return "";
    if (found.error().code == ErrorCode::not_found) throw NotThere("--draft: " + found.error().message);
    return found.error().message;
}

}  // namespace

void add_speculation_flags(CLI::App& command, SpeculationFlags& flags) {
    const std::string group = "Speculation";
    command
        .add_option_function<std::vector<std::string>>(
            "--lookup",
            [&flags](const std::vector<std::string>& values) {
                const auto is_switch = [](const std::string& value) { return value == "on" || value == "off"; };
                if (values.size() > 1 && std::any_of(values.begin(), values.end(), is_switch)) {
                    throw CLI::ValidationError("--lookup", "on and off do not go with files");
                }
                flags.lookup = values;
            },
            "Draft tokens from text that went before, and check several in one step: on, off, or a file that the "
            "answer may quote (may be "
            "given more than once). The answer is the same either way")
        ->check([check = input_file("--lookup")](
                    const std::string& value) { return value == "on" || value == "off" ? "" : check(value); },
                "")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false)  // what follows is the prompt
        ->type_name("TEXT")
        ->default_str("on")
        ->group(group);
    command
        .add_option("--draft", flags.draft,
                    "Draft tokens with a small model of the same vocabulary: a stored model's name, a file, auto (a "
                    "stored one that fits), none")
        ->check(check_draft, "")
        ->capture_default_str()
        ->group(group);
    command.add_option("--draft-max", flags.draft_max, "Check at most this many draft tokens per step; 0: none")
        ->check(whole_number(0, kBatchInvariantWidth - 1), "")
        ->capture_default_str()
        ->group(group);
}

uint32_t rows_for(const SpeculationFlags& flags) {
    return is_word(flags.lookup, "off") && flags.draft == "none" ? 1 : flags.draft_max + 1;
}

namespace {

// A draft of more than this part of the larger model's bytes costs more than it gains: at one eighth, four draft tokens
// cost half a token.
constexpr uint64_t kDraftPart = 8;

using DraftFile = std::unique_ptr<gguf::File>;

Result<DraftFile> open_checked(const std::filesystem::path& path, const Tokenizer& target) {
    ATLAS_TRY(gguf::File file, gguf::File::open(path));
    ATLAS_TRY(const auto tokenizer, Tokenizer::load(file));
    ATLAS_TRY_VOID(check_draft_vocabulary(target, *tokenizer));
    return std::make_unique<gguf::File>(std::move(file));
}

uint64_t tensor_bytes(const gguf::File& file) {
    uint64_t sum = 0;
    for (const gguf::TensorInfo& tensor : file.tensors()) sum += tensor.bytes;
    return sum;
}

// The largest stored model of the same vocabulary that is small enough; nothing if there is none.
DraftFile find_draft(const gguf::File& target, const Tokenizer& tokenizer) {
    const auto store = user_store();
    auto stored = store ? store->list() : Result<std::vector<StoredModel>>(std::vector<StoredModel>{});
    if (!stored) return nullptr;
    std::sort(stored->begin(), stored->end(),
              [](const StoredModel& a, const StoredModel& b) { return a.bytes > b.bytes; });
    const uint64_t most = tensor_bytes(target) / kDraftPart;
    for (const StoredModel& model : *stored) {
        if (model.bytes > most) continue;
        auto draft = open_checked(model.path, tokenizer);
        if (!draft) continue;
        note("{} drafts", printable(model.name));
        return std::move(*draft);
    }
    note("--draft auto: no stored model of the same vocabulary is at most 1/{} as large", kDraftPart);
    return nullptr;
}

// `shape`: becomes that of its session, for as many timelines per step.
Result<std::shared_ptr<const Model>> load_draft(const DraftTarget& target, SessionShape& shape, uint32_t n_timelines) {
    ATLAS_TRY(const ResolvedFile draft, resolve_file(*target.draft_file));
    shape = draft_session(draft.config, target.n_ctx, target.kv, n_timelines);
    auto model = Model::load(*target.draft_file, target.backend, shape);
    if (!model) return fail_in("--draft", model.error());
    return model;
}

}  // namespace

Result<DraftFile> open_draft_file(const SpeculationFlags& flags, const gguf::File& target, const Tokenizer& tokenizer) {
    if (flags.draft_max == 0 || flags.draft == "none") return DraftFile();
    if (flags.draft == "auto") return find_draft(target, tokenizer);
    ATLAS_TRY(const auto path, find_model(flags.draft));
    auto draft = open_checked(path, tokenizer);
    if (!draft) return fail_in("--draft " + flags.draft, draft.error());
    return draft;
}

Result<std::unique_ptr<LookupSpeculator>> make_lookup(const SpeculationFlags& flags, const Tokenizer& tokenizer) {
    if (flags.draft_max == 0 || is_word(flags.lookup, "off")) return nullptr;
    auto lookup = std::make_unique<LookupSpeculator>();
    for (const std::string& path : flags.lookup) {
        if (is_word(flags.lookup, "on")) break;
        ATLAS_TRY(const MappedFile file, MappedFile::open(path));
        const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
        auto added = lookup->add_file(tokenizer.encode(text, {.add_special = false, .parse_special = false}));
        ATLAS_TRY_VOID(file.intact());
        if (!added) return fail_in(path, added.error());
    }
    return lookup;
}

Result<std::unique_ptr<DraftModel>> make_draft(const DraftTarget& target) {
    if (target.draft_file == nullptr) return nullptr;
    SessionShape shape;
    ATLAS_TRY(auto model, load_draft(target, shape, 1));
    ATLAS_TRY(auto runner, StepRunner::create(std::move(model), shape, Serves::one));
    return std::make_unique<DraftModel>(std::move(runner), target.model.config().n_vocab);
}

Result<std::unique_ptr<Speculators>> make_speculation(const SpeculationFlags& flags, const OpenModel& open) {
    const Interrupt::AtOnce nothing_to_lose;
    std::vector<std::unique_ptr<Speculator>> who;
    ATLAS_TRY(auto lookup, make_lookup(flags, *open.tokenizer));
    ATLAS_TRY(auto draft, make_draft(open.draft_target()));
    if (lookup) who.push_back(std::move(lookup));
    if (draft) who.push_back(std::move(draft));
    if (who.empty()) return nullptr;
    return std::make_unique<Speculators>(std::move(who), flags.draft_max);
}

Result<std::unique_ptr<BatchSpeculation>> make_batch_speculation(const SpeculationFlags& flags, const OpenModel& open,
                                                                 uint32_t parallel, uint32_t draft_contexts) {
    BatchSpeculation::MakeLookup lookup;
    ATLAS_TRY(auto first, make_lookup(flags, *open.tokenizer));
    if (first) {
        lookup = [first = std::shared_ptr<const LookupSpeculator>(std::move(first))] {
            return std::make_unique<LookupSpeculator>(*first);
        };
    }
    std::unique_ptr<DraftModel> draft;
    if (open.draft_file) {
        SessionShape shape;
        ATLAS_TRY(const auto model, load_draft(open.draft_target(), shape, parallel));
        shape.pool_tokens = shape.n_ctx * draft_contexts;
        ATLAS_TRY(auto runner, StepRunner::create(model, shape));
        draft = std::make_unique<DraftModel>(std::move(runner), open.model->config().n_vocab);
    }
    if (!lookup && !draft) return nullptr;
    return std::make_unique<BatchSpeculation>(std::move(lookup), std::move(draft), flags.draft_max);
}

}  // namespace atlas::tools
