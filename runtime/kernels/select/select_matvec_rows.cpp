// matmul/matvec_rows.comp: some rows of w per invocation; activations are read by whole subgroups and broadcast.
#include <algorithm>
#include <bit>

#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

namespace {

// Rows per invocation where loads become gathers. Mesa 26.2, two cores of an EPYC, CPU time of [4096, 1024] in ms,
// 2026-11-21 (machine shared, medians of 5 to 7, interleaved), 1, 2, 4, 8 rows:
//   q8_0 in blocks, 1 token 2.4, 2.2, 3.4, 4.1 and 0.07, 0.13, 0.3, 0.8 s of compiling; 8 tokens 4.7, 3.4, 4.5. Other
//   odd block sizes are the same, q5_0 1.8, 1.7, 2.3, 2.6: no load is wider than a half, so all that more rows add is
//   code.
//   q8_0 in planes, 1 token 2.9, 1.9, 1.8, 1.6 and 0.04, 0.05, 0.07, 0.13 s; 8 tokens 5.2, 3.3, 3.1 and 0.3 s for 4
//   rows. q4_0 2.0, 1.4, 1.2, 1.05; 8 tokens 4.4, 2.8, 2.4. q5_0, iq4_nl, mxfp4 the same.
//   f16 in planes, 1 token 4.2, 2.7, 1.9, 4.0; 2 tokens 3.5, 3.6, 2.1; 8 tokens 5.6, 3.5, 4.7. bf16 less
//   so: 2.7, 2.6, 4.5. q4_1 in planes, 1 token 1.4 (2 rows), 1.35, 1.25; 8 tokens 3.2, 2.65. In blocks 1.4, 1.5, 1.6.
// Superblocks: below, in offer_matvec_rows.
uint32_t rows_with_gathers(const MatmulShape& shape, uint32_t tokens) {
    const FormatInfo& format = info(shape.weight);
    const bool in_planes = shape.layout == Layout::planar;
    if (!in_planes && format.block_bytes % 4 != 0) return 2;
    if (in_planes && format.block_elems == 1) return tokens < 8 ? 4 : 2;
    if (in_planes && format.block_elems == 32) return tokens > 1 || shape.n_out < 1024 ? 4 : 8;
    if (tokens > 1) return 2;
    return shape.n_out < 1024 || format.block_bytes % 16 != 0 ? 4 : 8;
}

}  // namespace

// On a CPU a load costs many times a multiply-add: llvmpipe of Mesa 25 makes a loop over the lanes of it, some 4 ns
// each, that of Mesa 26 a gather instruction. So few loads: activations are read by subgroups and broadcast, and used
// for several rows. CPU time, two cores of an AVX-512 EPYC, 2026-11-21. Mesa 25.0.7, q4_1 [2048, 4096]: one activation
// per load (matvec.comp) 1.2 GB/s and 2.4 GFLOP/s at 8 tokens; 1 row, broadcast 4.3 GB/s and 17.5 GFLOP/s at 8 tokens,
// 19 at 4, 13 at 16. q4_k [2048, 1024]: 1, 2, 4 rows 2.2, 2.4, 1.6 GB/s; 15.6, 17.3, 20.4 GFLOP/s at 8 tokens, but 2.2
// s, 5 s, 11 s of compiling: 1 row there. Mesa 26.2, q4_k: [4096, 1024], which stays in cache, 1, 2, 4
// rows 2.9, 3.4, 3.9 GB/s; [131072, 1024], which does not, 4 rows 3.9, 8 rows 4.4 (more rows read ahead more), with 0.5
// and 0.85 s of compiling. 8 tokens, [2048, 1024]: 1, 2, 4 rows 34, 45, 54 GFLOP/s, with 0.25, 0.4, 0.8 s of compiling.
// q6_k in planes, 4 and 8 rows: 3.3 and 3.4 GB/s, with 1.2 and 2.5 s.
void offer_matvec_rows(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    // Subgroups of one known size that can broadcast and add.
    const bool one_size = caps.min_subgroup_size == caps.max_subgroup_size;
    if (!runs_on_cpu(caps) || !one_size || !caps.subgroup_ballot || !caps.subgroup_arithmetic) return;
    if (caps.subgroup_size < 4 || caps.subgroup_size > 16) return;
    const FormatInfo& format = info(shape.weight);
    const uint32_t tokens = std::min(8u, std::bit_ceil(shape.n_tokens));
    const uint32_t rows = compiles_to_gathers(caps) ? rows_with_gathers(shape, tokens) : 1;
    // Two runs of 32 often share their codes' words and their scales. With several tokens that is little, and the
    // shader long enough.
    const uint32_t chunk = rows >= 4 && format.block_elems % 64 == 0 ? 64 : 32;
    out.push_back({.family = KernelFamily::matvec_rows,
                   .constants = {caps.subgroup_size, caps.subgroup_size, tokens, rows, chunk},
                   .tile_out = caps.subgroup_size * rows,
                   .tile_tokens = tokens});
}

}  // namespace atlas
