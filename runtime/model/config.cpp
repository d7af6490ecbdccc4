#include "runtime/model/config.h"

#include <algorithm>

namespace atlas {

CacheShape LayerConfig::cache() const {
    CacheShape shape;
    switch (mixer) {
        case Mixer::attention:
            shape = {k_width(), head_dim, v_width(), v_head_dim, window, 0};
            if (kv_layer) shape = {0, 0, 0, 0, window, 0};
            break;
        case Mixer::latent_attention:
            shape.k_width = shape.k_head = latent.kv_rank + latent.rope_dim;
            break;
        case Mixer::short_conv:
            shape.state_bytes = sizeof(float) * uint64_t{short_conv.state()};
            break;
        case Mixer::state_space:
            shape.state_bytes = sizeof(float) * (uint64_t{state_space.conv_state()} + state_space.head_states());
            break;
        case Mixer::none:
            break;
        case Mixer::delta_net:
            shape.state_bytes = sizeof(float) * (uint64_t{delta_net.conv_state()} + delta_net.head_states());
            break;
    }
    return shape;
}

uint32_t widest_window(const ModelConfig& config) {
    uint32_t widest = 0;
    for (const LayerConfig& layer : config.layers) widest = std::max(widest, layer.cache().window);
    return widest;
}

bool fits_heads(const KvFormats& kv, const ModelConfig& config) {
    return std::all_of(config.layers.begin(), config.layers.end(), [&](const LayerConfig& layer) {
        const CacheShape cache = layer.cache();
        return cache.k_head % info(kv.k).block_elems == 0 && cache.v_head % info(kv.v).block_elems == 0;
    });
}

}  // namespace atlas
