// matmul/matmul.comp: a workgroup owns tile_out x tile_tokens results, an invocation out x tok of them.
#include <utility>

#include "runtime/kernels/matmul_variant.h"

namespace atlas {

void offer_matmul_tiles(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    constexpr uint32_t kOut = 4, kTok = 4;
    const auto offer = [&](uint32_t tile_out, uint32_t tile_tokens) {
        const uint32_t local = tile_out / kOut * (tile_tokens / kTok);
        const uint32_t shared_bytes = (tile_out + tile_tokens) * 33 * 4;
        if (local > caps.max_workgroup_invocations || shared_bytes > caps.max_shared_bytes) return;
        MatmulVariant variant{.family = KernelFamily::matmul,
                              .constants = {local, tile_out, tile_tokens, kOut, kTok},
                              .tile_out = tile_out,
                              .tile_tokens = tile_tokens,
                              .split_k = splits_for(caps, shape, tile_out, tile_tokens),
                              .shared_bytes = shared_bytes};
        out.push_back(variant);
        if (std::exchange(variant.split_k, 1) > 1) out.push_back(variant);
    };
    offer(64, 32);
    offer(32, 32);
}

}  // namespace atlas
