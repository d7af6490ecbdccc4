#include "bench/model_shapes.h"

#include "bench/shape_model.h"
#include "bench/timed_step.h"

namespace atlas::bench {

Result<std::shared_ptr<const Model>> plan_shape(std::string_view wish, PlanBackend& backend) {
    ATLAS_TRY(const ShapeWish found, find_shape(wish));
    return load_shape(found, backend, {.n_ctx = 512});
}

Result<std::shared_ptr<const Model>> plan_model_file(const std::filesystem::path& path, PlanBackend& backend) {
    ATLAS_TRY(const gguf::File file, gguf::File::open(path));
    return Model::load_filled(file, backend, {.n_ctx = 512},
                              [](const ResolvedWeight&, Storage&, uint64_t) -> Result<void> { return {}; });
}

Result<void> plan_model_kernels(const Model& model, KvFormats kv) {
    constexpr uint32_t kDepth = 4096;
    ATLAS_TRY(const auto runner, TimedStep::create(model, {1, 512, kDepth}, kv));
    for (const uint32_t width : {1u, 2u, 4u, 8u, 16u, 24u, 64u, 512u}) {
        for (const uint32_t depth : {0u, kDepth}) ATLAS_TRY_VOID(runner->prepare({1, width, depth}));
    }
    return {};
}

}  // namespace atlas::bench
