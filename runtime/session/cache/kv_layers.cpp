#include "runtime/session/cache/kv_layers.h"

#include <algorithm>

namespace atlas {

Result<KvLayers> KvLayers::create(Backend& backend, const ModelConfig& config, const KvRows& rows,
                                  const KvFormats& formats, std::string_view name) {
    const std::vector<uint64_t> storages = kv_storages(config, rows, formats);
    const uint64_t largest = storages.empty() ? 0 : *std::max_element(storages.begin(), storages.end());
    if (largest > backend.max_storage_bytes()) {
        return fail(ErrorCode::limit,
                    "the keys or values of one layer for {} tokens need {} bytes, this device allocates at most {} in "
                    "one piece: take fewer tokens (a shorter context, a smaller pool)",
                    rows.n, largest, backend.max_storage_bytes());
    }
    KvLayers layers;
    layers.formats_ = formats;
    backend.expect(MemoryUse::kv, storages);
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        const CacheShape cache = config.layers[il].cache();
        const uint32_t n_tokens = rows.of(cache);
        KvLayer view{{}, {}, kPageTokens, formats.rotate_k, formats.rotate_v};
        const auto add = [&](Tensor& side, uint32_t width, Format format, const char* which) -> Result<void> {
            if (width == 0) return {};
            ATLAS_TRY(auto storage, backend.allocate(MemoryUse::kv, kv_side_bytes(width, n_tokens, format),
                                                     fmt::format("{}.{}.{}", name, il, which)));
            side = dense(*storage, format, n_tokens, width);
            layers.storages_.push_back(std::move(storage));
            return {};
        };
        ATLAS_TRY_VOID(add(view.k, cache.k_width, formats.k, "k"));
        ATLAS_TRY_VOID(add(view.v, cache.v_width, formats.v, "v"));
        layers.views_.push_back(view);
    }
    return layers;
}

Result<void> KvLayers::shrink(Backend& backend, const ModelConfig& config, const KvRows& rows) {
    backend.expect(MemoryUse::kv, kv_storages(config, rows, formats_));
    size_t next = 0;
    for (uint32_t il = 0; il < config.n_layer(); ++il) {
        const uint32_t n_tokens = rows.of(config.layers[il].cache());
        for (Tensor* side : {&views_[il].k, &views_[il].v}) {
            if (!*side) continue;
            auto& storage = storages_[next++];
            if (side->rows == n_tokens) continue;
            ATLAS_TRY_VOID(backend.shrink(storage, kv_side_bytes(side->cols, n_tokens, side->format)));
            *side = dense(*storage, side->format, n_tokens, side->cols);
        }
    }
    return {};
}

}  // namespace atlas
