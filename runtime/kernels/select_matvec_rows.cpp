// matmul/matvec_rows.comp: a row of w per invocation; activations are read by whole subgroups and broadcast.
#include <algorithm>
#include <bit>

#include "runtime/kernels/matmul_variant.h"

namespace atlas {

// On llvmpipe a load in a loop is a loop over the lanes, some 4 ns each, and a multiply-add of 8 lanes costs a tenth of that. So few loads:
// q4_1 [2048, 4096], CPU time on two cores (Mesa 25.0.7, AVX-512 EPYC, 2026-11-21): one activation per load (matvec.comp) 1.2 GB/s and
// 2.4 GFLOP/s at 8 tokens; read by subgroups and broadcast (matvec_rows.comp) 4.3 GB/s and 17.5 GFLOP/s; 4 tokens 19, 16 tokens 13.
void offer_matvec_rows(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    // Subgroups of one known size that can broadcast.
    const bool one_size = caps.min_subgroup_size == caps.max_subgroup_size;
    if (!runs_on_cpu(caps) || !one_size || !caps.subgroup_ballot || caps.subgroup_size < 4 || caps.subgroup_size > 32) return;
    const uint32_t tokens = std::min(8u, std::bit_ceil(shape.n_tokens));
    out.push_back({.family = KernelFamily::matvec_rows,
                   .constants = {caps.subgroup_size, caps.subgroup_size, tokens},
                   .tile_out = caps.subgroup_size,
                   .tile_tokens = tokens});
}

}  // namespace atlas
