#include "runtime/kernels/select.h"

#include <algorithm>
#include <bit>

namespace atlas {

namespace {

bool runs_on_cpu(const vk::DeviceCaps& caps) { return caps.type == vk::DeviceType::software; }

/// Largest power of two that is no larger than n.
uint32_t floor_pow2(uint32_t n) { return n == 0 ? 1 : std::bit_floor(n); }

uint32_t at_most(const vk::DeviceCaps& caps, uint32_t lanes) {
    return std::min(lanes, floor_pow2(std::min(caps.max_workgroup_invocations, caps.max_workgroup_size[0])));
}

/// Subgroups of one known size that can broadcast.
bool has_fixed_subgroups(const vk::DeviceCaps& caps) {
    const bool one_size = caps.min_subgroup_size == caps.max_subgroup_size;
    return one_size && caps.subgroup_ballot && caps.subgroup_size >= 4 && caps.subgroup_size <= 32;
}

// On llvmpipe a load in a loop is a loop over the lanes, some 4 ns each, and a multiply-add of 8 lanes costs a tenth of that. So few loads:
// q4_1 [2048, 4096], CPU time on two cores (Mesa 25.0.7, AVX-512 EPYC, 2026-11-21): one activation per load (matvec.comp) 1.2 GB/s and
// 2.4 GFLOP/s at 8 tokens; read by subgroups and broadcast (matvec_rows.comp) 4.3 GB/s and 17.5 GFLOP/s; 4 tokens 19, 16 tokens 13.
MatmulChoice cpu_matmul(const vk::DeviceCaps& caps, uint32_t n_tokens) {
    MatmulChoice choice;
    const uint32_t tokens = std::min(8u, std::bit_ceil(n_tokens));
    if (has_fixed_subgroups(caps)) {
        choice.kernel = MatmulChoice::Kernel::matvec_rows;
        choice.rows = {.local_size = caps.subgroup_size, .subgroup = caps.subgroup_size, .tokens = tokens};
    } else {
        choice.matvec = {.local_size = 8, .lanes_per_row = 1, .tokens = tokens};
    }
    return choice;
}

MatvecTuning gpu_matvec(const vk::DeviceCaps& caps, uint32_t n_in, uint32_t n_tokens) {
    // A subgroup's worth of lanes per row, fewer where the row has fewer runs of 32 weights than that.
    const uint32_t runs = std::max(1u, n_in / 32);
    const uint32_t lanes = std::min({std::max(8u, caps.subgroup_size), 64u, std::bit_ceil(runs)});
    const uint32_t local = at_most(caps, std::max(64u, lanes));
    return {.local_size = local, .lanes_per_row = std::min(lanes, local), .tokens = std::min(8u, std::bit_ceil(n_tokens))};
}

}  // namespace

MatmulChoice choose_matmul(const vk::DeviceCaps& caps, Format, uint32_t, uint32_t n_in, uint32_t n_tokens) {
    // Shared memory is ordinary memory on a CPU and a barrier a switch of stacks, so tiles only lose there.
    if (runs_on_cpu(caps)) return cpu_matmul(caps, n_tokens);
    MatmulChoice choice;
    if (n_tokens <= 8) {
        choice.matvec = gpu_matvec(caps, n_in, n_tokens);
        return choice;
    }
    choice.kernel = MatmulChoice::Kernel::matmul;
    choice.tile = {.tile_out = 64, .tile_tokens = 32, .out = 4, .tok = 4};
    if (choice.tile.local_size() > caps.max_workgroup_invocations) choice.tile = {.tile_out = 32, .tile_tokens = 32, .out = 4, .tok = 4};
    return choice;
}

AttentionTuning choose_attention(const vk::DeviceCaps& caps, uint32_t head_dim, uint32_t heads_per_kv) {
    AttentionTuning tuning{.lanes = at_most(caps, runs_on_cpu(caps) ? 32 : 64), .heads = 1};
    const uint32_t shared_limit = std::min(caps.max_shared_bytes, 32u * 1024);
    for (uint32_t heads = 2; heads <= std::min(8u, heads_per_kv); ++heads) {
        const AttentionTuning more{.lanes = tuning.lanes, .heads = heads};
        if (heads_per_kv % heads == 0 && more.shared_bytes(head_dim) <= shared_limit) tuning.heads = heads;
    }
    return tuning;
}

uint32_t choose_row_lanes(const vk::DeviceCaps& caps, uint32_t cols) {
    const uint32_t wanted = runs_on_cpu(caps) ? 8 : std::min(256u, std::bit_ceil(std::max(32u, cols / 4)));
    return at_most(caps, wanted);
}

uint32_t choose_element_lanes(const vk::DeviceCaps& caps) { return at_most(caps, 64); }

}  // namespace atlas
