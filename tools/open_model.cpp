#include "tools/open_model.h"

#include <algorithm>

#include "runtime/base/units.h"
#include "runtime/gguf/file_error.h"
#include "tools/context_choice.h"
#include "tools/interrupt.h"
#include "tools/memory_watch.h"
#include "tools/messages.h"
#include "tools/offer_pull.h"
#include "tools/open_device.h"
#include "tools/progress_bar.h"

namespace atlas::tools {

namespace {

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

// Errors of the file, or of the flags for this file, that do not depend on the device.
Result<void> check_without_device(const gguf::File& file, SessionShape shape) {
    if (shape.capacity() == 0) shape.n_ctx = 1;
    if (const auto plan = plan_file(file, shape); !plan) return gguf::fail_in_file(file.path(), plan.error());
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
    shape.max_checkpoints = flags.checkpoints;
    ATLAS_TRY_VOID(check_without_device(*open.file, shape));
    if (on_files) ATLAS_TRY_VOID(on_files(open));
    ATLAS_TRY(open.backend, open_device(flags));
    const bool auto_draft = speculation != nullptr && speculation->draft == "auto";
    ATLAS_TRY(const ContextChoice choice, fit_context(*open.file, *open.backend, shape, flags, open.draft_file,
                                                      auto_draft, speculation == nullptr));
    open.n_ctx = choice.plan.n_ctx;
    if (shape.pool_tokens > 0 && flags.n_ctx > 0) open.n_ctx = std::min(open.n_ctx, flags.n_ctx);
    shape.n_ctx = open.n_ctx;
    open.kv = shape.kv_format;
    open.max_checkpoints = shape.max_checkpoints;
    ATLAS_TRY(open.model, load_weights(*open.file, *open.backend, shape));
    if (open.model->config().n_draft_layers > 0)
        note("the file has a head that drafts tokens (nextn); this version does not use it");
    return open;
}

}  // namespace

Result<OpenModel> open_without_session(const ModelFlags& flags, const SpeculationFlags& speculation,
                                       SessionShape engine, const CheckFiles& on_files) {
    ATLAS_TRY(OpenModel open, load_model(flags, &speculation, engine, on_files));
    open.watch = watch_memory(*open.backend, nullptr, nullptr);
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
    watch = watch_memory(*backend, session.get(), speculation);
}

Result<OpenModel> open_model(const ModelFlags& flags, uint32_t max_outputs) {
    return open_with_session(flags, nullptr, max_outputs);
}

Result<OpenModel> open_model(const ModelFlags& flags, const SpeculationFlags& speculation) {
    return open_with_session(flags, &speculation, rows_for(speculation));
}

}  // namespace atlas::tools
