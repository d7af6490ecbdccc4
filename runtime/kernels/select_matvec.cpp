// matmul/matvec.comp: a row of w is shared by lanes_per_row invocations and unpacked once for `tokens` tokens.
#include <algorithm>
#include <bit>

#include "runtime/kernels/matmul_variant.h"

namespace atlas {

void offer_matvec(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    const uint32_t tokens = std::min(8u, std::bit_ceil(shape.n_tokens));
    uint32_t local = 8, lanes = 1;
    if (!runs_on_cpu(caps)) {
        // A subgroup's worth of lanes per row, fewer where the row has fewer runs of 32 weights than that.
        const uint32_t runs = std::max(1u, shape.n_in / 32);
        lanes = std::min({std::max(8u, caps.subgroup_size), 64u, std::bit_ceil(runs)});
        local = lanes_at_most(caps, std::max(64u, lanes));
        lanes = std::min(lanes, local);
    }
    out.push_back({.family = KernelFamily::matvec,
                   .constants = {local, lanes, tokens},
                   .tile_out = local / lanes,
                   .tile_tokens = tokens,
                   .shared_bytes = local * tokens * 4});
}

}  // namespace atlas
