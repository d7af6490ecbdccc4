#include "tools/context_choice.h"

#include "runtime/base/units.h"
#include "runtime/planner/cache_loss.h"
#include "tools/messages.h"
#include "tools/models/catalogue.h"

namespace atlas::tools {

namespace {

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

Result<ContextChoice> fit_context(const gguf::File& file, const VkBackend& backend, const SessionShape& shape,
                                  const ModelFlags& flags, std::unique_ptr<gguf::File>& draft, bool auto_draft,
                                  bool measures) {
    auto fitted = fit_context(file, backend, shape, flags.keep_free, draft.get());
    if (!fitted && draft && auto_draft && fitted.error().code == ErrorCode::out_of_memory) {
        draft.reset();
        fitted = fit_context(file, backend, shape, flags.keep_free);
        if (fitted) note("--draft auto: the draft does not fit beside the model");
    }
    if (fitted) tell_of_context(flags, *fitted, shape.kv_format, measures);
    return fitted;
}

Result<void> warn_of_cache(const gguf::File& file, const KvFormats& kv) {
    ATLAS_TRY(const Catalogue catalogue, user_catalogue());
    const std::string text = warning_of(catalogue, kv, cache_traits(file));
    if (!text.empty()) print_warning(text);
    return {};
}

}  // namespace atlas::tools
