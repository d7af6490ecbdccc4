// matmul/matmul.comp: a workgroup owns tile_out x tile_tokens results, an invocation out x tok of them.
#include <utility>

#include "runtime/kernels/select/matmul_variant.h"

namespace atlas {

void offer_matmul_tiles(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    constexpr uint32_t kTok = 4;
    const auto offer = [&](uint32_t tile_out, uint32_t tile_tokens, uint32_t per_out) {
        const uint32_t local = tile_out / per_out * (tile_tokens / kTok);
        const uint32_t shared_bytes = (tile_out + tile_tokens) * 33 * 4;
        if (local > caps.max_workgroup_invocations || shared_bytes > caps.max_shared_bytes) return;
        MatmulVariant variant{.family = KernelFamily::matmul,
                              .constants = {local, tile_out, tile_tokens, per_out, kTok},
                              .tile_out = tile_out,
                              .tile_tokens = tile_tokens,
                              .split_k = splits_for(caps, shape, tile_out, tile_tokens),
                              .shared_bytes = shared_bytes};
        out.push_back(variant);
        if (std::exchange(variant.split_k, 1) > 1) out.push_back(variant);
    };
    // 8 x 4 sums per invocation read 12 values for 32 multiply-adds, 4 x 4 read 8 for 16.
    if (shape.n_tokens > 32) offer(128, 64, 8);
    offer(64, 32, 4);
    offer(32, 32, 4);
}

}  // namespace atlas
