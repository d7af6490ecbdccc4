#include "runtime/session/kv_layers.h"

#include <algorithm>

namespace atlas {

Result<KvLayers> KvLayers::create(Backend& backend, const ModelConfig& config, uint32_t n_tokens, const KvFormats& formats, std::string_view name) {
    const uint64_t k_bytes = kv_layer_bytes(config, n_tokens, formats.k), v_bytes = kv_layer_bytes(config, n_tokens, formats.v);
    if (std::max(k_bytes, v_bytes) > backend.max_storage_bytes()) {
        return fail(ErrorCode::limit, "the keys of one layer for {} tokens need {} bytes, this device hands out at most {} in one piece: take fewer tokens (a shorter "
                    "context, a smaller pool)", n_tokens, std::max(k_bytes, v_bytes), backend.max_storage_bytes());
    }
    KvLayers layers;
    layers.formats_ = formats;
    backend.expect(MemoryUse::kv, kv_storages(config, n_tokens, formats));
    for (uint32_t il = 0; il < config.n_layer; ++il) {
        ATLAS_TRY(auto k, backend.allocate(MemoryUse::kv, k_bytes, fmt::format("{}.{}.k", name, il)));
        ATLAS_TRY(auto v, backend.allocate(MemoryUse::kv, v_bytes, fmt::format("{}.{}.v", name, il)));
        layers.views_.push_back({dense(*k, formats.k, n_tokens, config.kv_width()), dense(*v, formats.v, n_tokens, config.kv_width()), kPageTokens,
                                 formats.rotate_k, formats.rotate_v});
        layers.storages_.push_back(std::move(k));
        layers.storages_.push_back(std::move(v));
    }
    return layers;
}

Result<void> KvLayers::shrink(Backend& backend, const ModelConfig& config, uint32_t n_tokens) {
    backend.expect(MemoryUse::kv, kv_storages(config, n_tokens, formats_));
    for (size_t i = 0; i < storages_.size(); ++i) {
        const bool values = i % 2 == 1;
        const Format format = values ? formats_.v : formats_.k;
        ATLAS_TRY_VOID(backend.shrink(storages_[i], kv_layer_bytes(config, n_tokens, format)));
        KvLayer& view = views_[i / 2];
        (values ? view.v : view.k) = dense(*storages_[i], format, n_tokens, config.kv_width());
    }
    return {};
}

}  // namespace atlas
