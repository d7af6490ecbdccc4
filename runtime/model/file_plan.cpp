#include "runtime/model/file_plan.h"

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/gguf/file_error.h"

namespace atlas {

namespace {

Result<ResolvedFile> resolve(const gguf::File& file, const std::function<bool(Format)>& can_read,
                             const Architecture* architecture = nullptr) {
    ResolvedFile found{.architecture = architecture, .config = {}, .weights = {}};
    if (architecture == nullptr) {
        ATLAS_TRY(found.architecture, find_architecture(file));
    }
    ATLAS_TRY(found.config, found.architecture->read_config(FileKeys(file)));
    ATLAS_TRY(found.weights, resolve_weights(file, found.architecture->weights(found.config), found.config, can_read));
    return found;
}

Result<void> check_storage_sizes(std::span<const ResolvedWeight> weights, const Backend& backend) {
    for (const ResolvedWeight& weight : weights) {
        if (weight.bytes() <= backend.max_storage_bytes()) continue;
        return fail(ErrorCode::unsupported,
                    "{}: {} bytes ({}), but this device allocates at most {} bytes ({}) in one piece",
                    weight.source->name, weight.bytes(), bytes_text(weight.bytes()), backend.max_storage_bytes(),
                    bytes_text(backend.max_storage_bytes()));
    }
    return {};
}

}  // namespace

Result<ResolvedFile> resolve_file(const gguf::File& file) {
    return resolve(file, [](Format) { return true; });
}

Result<ResolvedFile> resolve_file(const gguf::File& file, const Backend& backend, const Architecture* architecture) {
    const auto can_read = [&](Format format) { return backend.can_read(format); };
    ATLAS_TRY(ResolvedFile found, resolve(file, can_read, architecture));
    for (ResolvedWeight& weight : found.weights) weight.layout = backend.weight_layout(weight.format, weight.cols);
    ATLAS_TRY_VOID(check_storage_sizes(found.weights, backend));
    return found;
}

Result<MemoryPlan> plan_file(const gguf::File& file, const SessionShape& shape) {
    ATLAS_TRY(const ResolvedFile found, resolve_file(file));
    return plan_memory(found.plan_input(), shape);
}

Result<void> check_model_file(const gguf::File& file) {
    const auto found = resolve_file(file);
    if (found || found.error().code == ErrorCode::unsupported) return {};
    return gguf::fail_in_file(file.path(), found.error());
}

}  // namespace atlas
