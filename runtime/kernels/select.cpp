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

MatvecTuning cpu_matvec(uint32_t n_tokens) {
    // A row per invocation: the eight lanes of a software subgroup unpack eight rows and share every activation.
    return {.local_size = 8, .lanes_per_row = 1, .tokens = std::min(8u, std::bit_ceil(n_tokens))};
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
    MatmulChoice choice;
    if (runs_on_cpu(caps)) {
        // Shared memory is ordinary memory there and a barrier costs a switch of stacks, so tiles only lose.
        choice.matvec = cpu_matvec(n_tokens);
        return choice;
    }
    choice.tiled = n_tokens > 8;
    if (choice.tiled) {
        choice.tile = {.tile_out = 64, .tile_tokens = 32, .out = 4, .tok = 4};
        if (choice.tile.local_size() > caps.max_workgroup_invocations) choice.tile = {.tile_out = 32, .tile_tokens = 32, .out = 4, .tok = 4};
    } else {
        choice.matvec = gpu_matvec(caps, n_in, n_tokens);
    }
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
