#include "tools/open_device.h"

#include "runtime/base/units.h"
#include "runtime/base/user_dirs.h"
#include "runtime/ops/backend.h"
#include "runtime/vk/instance.h"
#include "tools/interactive_backend.h"
#include "tools/messages.h"
#include "tools/models/environment.h"

namespace atlas::tools {

VkBackendOptions device_options(const std::string& device) {
    VkBackendOptions options;
    make_interactive(options);
    options.device = device;
    options.self_test = true;
    if (const auto dirs = user_dirs(system_environment)) {
        options.pipeline_cache = dirs->cache / "pipelines";
        options.choices_folder = dirs->cache / "kernels";
    }
    return options;
}

Result<std::unique_ptr<VkBackend>> open_device(const ModelFlags& flags) {
    VkBackendOptions options = device_options(flags.device);
    options.validation = flags.validate;
    if (!flags.memory_limit.empty()) {
        ATLAS_TRY(const uint64_t limit, parse_bytes(flags.memory_limit));
        if (limit <= kPipelineAllowanceBytes) {
            return fail(ErrorCode::out_of_memory,
                        "--memory-limit {}: compiled kernels and the driver alone need {}; give more ('atlas-vk plan "
                        "--file MODEL' says how much a model needs), or leave it out",
                        flags.memory_limit, bytes_text(kPipelineAllowanceBytes));
        }
        options.memory_limit_bytes = limit;
    }
    ATLAS_TRY(auto backend, make_vk_backend(options));
    if (backend->is_software()) note("running on {}", backend->describe());
    return backend;
}

Result<void> check_validation(const ModelFlags& flags, VkBackend& backend) {
    if (!flags.validate) return {};
    const auto messages = backend.take_validation_messages();
    for (const vk::ValidationMessage& message : messages) warning("validation: {}: {}", message.id, message.text);
    if (!messages.empty())
        return fail(ErrorCode::unsupported, "the validation layers reported {} messages", messages.size());
    note("validation: nothing to report");
    return {};
}

}  // namespace atlas::tools
