#include "tools/open_model.h"

#include <algorithm>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/base/user_dirs.h"
#include "runtime/planner/cache_loss.h"
#include "runtime/vk/instance.h"
#include "tools/interactive_backend.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/models/catalogue.h"
#include "tools/models/environment.h"
#include "tools/offer_pull.h"
#include "tools/progress_bar.h"

namespace atlas::tools {

namespace {

Result<std::unique_ptr<VkBackend>> make_backend(const ModelFlags& flags) {
    VkBackendOptions options;
    options.device = flags.device;
    options.validation = flags.validate;
    if (!flags.memory_limit.empty()) {
        ATLAS_TRY(options.memory_limit_bytes, parse_bytes(flags.memory_limit));
    }
    options.self_test = true;
    make_interactive(options);
    if (const auto dirs = user_dirs(system_environment)) {
        options.pipeline_cache = dirs->cache / "pipelines";
        options.choices_folder = dirs->cache / "kernels";
    }
    ATLAS_TRY(auto backend, make_vk_backend(options));
    if (backend->is_software()) {
        note("running on {}", backend->describe());
    }
    return backend;
}

// Called by the budget's watch when memory is short. The draft's cache shrinks first, because that costs only speed.
BudgetWatch::GivenBack shrink(Session& session, Speculators* speculation, uint64_t bytes) {
    const auto tell = [](const Error& error) { warning("the cache could not be made smaller: {}", error.message); };
    const auto of_draft = speculation != nullptr ? speculation->shrink(bytes) : Result<uint64_t>(0);
    if (!of_draft) tell(of_draft.error());
    BudgetWatch::GivenBack given{of_draft.value_or(0), ""};
    if (given.bytes > 0) given.effect = "the draft's cache is smaller now";
    if (given.bytes >= bytes) return given;
    const uint32_t before = session.n_ctx();
    const auto of_session = session.shrink(bytes - given.bytes);
    if (!of_session) tell(of_session.error());
    given.bytes += of_session.value_or(0);
    if (session.n_ctx() == before) return given;
    given.effect += fmt::format("{}the context holds {} tokens now, no longer {}", given.effect.empty() ? "" : ", ",
                                session.n_ctx(), before);
    return given;
}

void tell_of_memory(const std::string& line) {
    std::fputc('\n', stderr);  // an answer may be on this line
    print_warning(line);
}

}  // namespace

Result<ContextChoice> fit_context(const gguf::File& file, const VkBackend& backend, const SessionShape& shape,
                                  const std::string& keep_free, const gguf::File* draft) {
    ContextWish wish;
    wish.shape = shape;
    wish.draft = draft;
    wish.shared_memory = backend.caps().unified_memory || backend.is_software();
    if (!keep_free.empty()) {
        ATLAS_TRY(wish.keep_free_bytes, parse_bytes(keep_free));
    }
    ATLAS_TRY(const Catalogue catalogue, user_catalogue());
    return choose_context(file, backend, wish, catalogue);
}

namespace {

// Reports the context: its length where it was chosen here; where it was requested, only that it is another or too
// long.
// `measures`: the command takes as much of the context as it was told to, whatever its length.
void tell_of_context(const ModelFlags& flags, const ContextChoice& choice, const KvFormats& kv, bool measures) {
    if (flags.n_ctx == 0) print_note(describe(choice, kv));
    const std::string rounded = rounded_context_text(flags.n_ctx);
    if (!measures && !rounded.empty()) print_note(rounded);
    if (flags.n_ctx <= choice.n_ctx_native) return;
    warning(
        "--ctx {} is more than the {} tokens that the model was trained for: beyond them its answers get worse, often "
        "useless",
        flags.n_ctx, choice.n_ctx_native);
}

Result<std::shared_ptr<const Model>> load_weights(const gguf::File& file, VkBackend& backend,
                                                  const SessionShape& shape) {
    ProgressBar bar("loading");
    ATLAS_TRY(auto model,
              Model::load(file, backend, shape, [&bar](uint64_t done, uint64_t total) { bar.show(done, total); }));
    bar.wipe();
    const double seconds = bar.seconds();
    const uint64_t bytes = model->weights_bytes();
    // Printed only when loading took long enough to be noticed.
    if (seconds >= 1.0) {
        note("loaded {} in {} ({}/s)", bytes_text(bytes), duration_text(seconds),
             bytes_text(static_cast<uint64_t>(static_cast<double>(bytes) / seconds)));
    }
    return model;
}

Result<void> warn_of_cache(const gguf::File& file, const KvFormats& kv) {
    ATLAS_TRY(const Catalogue catalogue, user_catalogue());
    const std::string text = warning_of(catalogue, kv, cache_traits(file));
    if (!text.empty()) print_warning(text);
    return {};
}

// Errors of the file, or of the flags for this file, that do not depend on the device.
Result<void> check_without_device(const gguf::File& file, SessionShape shape) {
    shape.n_ctx = std::max(shape.n_ctx, 1u);
    if (const auto plan = plan_file(file, shape); !plan)
        return fail_in(in_quotes(file.path().string(), 400), plan.error());
    return {};
}

// `speculation` null: nothing proposes draft tokens. `on_files`: asked before the device is opened; may be empty.
Result<OpenModel> load_model(const ModelFlags& flags, const SpeculationFlags* speculation, SessionShape& shape,
                             const CheckFiles& on_files = {}) {
    const Interrupt::AtOnce nothing_to_lose;
    OpenModel open;
    ATLAS_TRY(shape.kv_format, kv_formats(flags.kv_type, flags.kv_rotation));
    ATLAS_TRY(const auto path, find_or_pull(flags.model, flags.pull));
    ATLAS_TRY(auto file, gguf::File::open(path));
    open.file = std::make_unique<gguf::File>(std::move(file));
    // No warning from commands that measure, where such a cache is intended.
    if (speculation != nullptr) ATLAS_TRY_VOID(warn_of_cache(*open.file, shape.kv_format));
    ATLAS_TRY(open.tokenizer, Tokenizer::load(*open.file));
    for (const std::string& line : open.tokenizer->notes()) print_note(line);
    if (speculation != nullptr) {
        ATLAS_TRY(open.draft_file, open_draft_file(*speculation, *open.file, *open.tokenizer));
    }
    shape.n_ctx = flags.n_ctx;
    ATLAS_TRY_VOID(check_without_device(*open.file, shape));
    if (on_files) ATLAS_TRY_VOID(on_files(open));
    ATLAS_TRY(open.backend, make_backend(flags));
    auto fitted = fit_context(*open.file, *open.backend, shape, flags.keep_free, open.draft_file.get());
    if (!fitted && open.draft_file && speculation->draft == "auto" && fitted.error().code == ErrorCode::out_of_memory) {
        open.draft_file.reset();
        fitted = fit_context(*open.file, *open.backend, shape, flags.keep_free);
        if (fitted) note("--draft auto: the draft does not fit beside the model");
    }
    ATLAS_TRY(const ContextChoice choice, std::move(fitted));
    tell_of_context(flags, choice, shape.kv_format, speculation == nullptr);
    shape.n_ctx = open.n_ctx = choice.plan.n_ctx;
    open.kv = shape.kv_format;
    ATLAS_TRY(open.model, load_weights(*open.file, *open.backend, shape));
    return open;
}

}  // namespace

Result<OpenModel> open_without_session(const ModelFlags& flags, const SpeculationFlags& speculation,
                                       const CheckFiles& on_files) {
    SessionShape shape;
    ATLAS_TRY(OpenModel open, load_model(flags, &speculation, shape, on_files));
    open.watch = std::make_unique<BudgetWatch>(*open.backend, tell_of_memory);
    return open;
}

namespace {

Result<OpenModel> open_with_session(const ModelFlags& flags, const SpeculationFlags* speculation,
                                    uint32_t max_outputs) {
    SessionShape shape;
    shape.max_outputs = max_outputs;
    ATLAS_TRY(OpenModel open, load_model(flags, speculation, shape));
    const Interrupt::AtOnce nothing_to_lose;
    ATLAS_TRY(open.session, Session::create(open.model, shape));
    open.draft_tokens_by(nullptr);
    return open;
}

}  // namespace

void OpenModel::draft_tokens_by(Speculators* speculation) {
    watch = std::make_unique<BudgetWatch>(
        *backend, tell_of_memory,
        [session_ = session.get(), speculation](uint64_t bytes) { return shrink(*session_, speculation, bytes); });
}

Result<OpenModel> open_model(const ModelFlags& flags, uint32_t max_outputs) {
    return open_with_session(flags, nullptr, max_outputs);
}

Result<OpenModel> open_model(const ModelFlags& flags, const SpeculationFlags& speculation) {
    return open_with_session(flags, &speculation, rows_for(speculation));
}

Result<void> check_validation(const ModelFlags& flags, OpenModel& open) {
    if (!flags.validate) return {};
    const auto messages = open.backend->take_validation_messages();
    for (const vk::ValidationMessage& message : messages) warning("validation: {}: {}", message.id, message.text);
    if (!messages.empty())
        return fail(ErrorCode::unsupported, "the validation layers reported {} messages", messages.size());
    note("validation: nothing to report");
    return {};
}

}  // namespace atlas::tools
