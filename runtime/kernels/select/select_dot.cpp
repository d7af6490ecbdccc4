// Kernels on 8-bit activations: matmul/matvec_dot.comp, matmul/matmul_dot.comp, matmul/matmul_coopmat_s8.comp. They
// round the activations, so where an exact kernel is as fast it comes first (select_matmul.cpp).
#include <algorithm>
#include <bit>

#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

namespace {

/// The device's largest matrix of bytes that the kernel can use, or nothing.
const vk::CoopMatShape* byte_shape(const vk::DeviceCaps& caps) {
    const vk::CoopMatShape* best = nullptr;
    for (const vk::CoopMatShape& s : caps.coopmat_shapes) {
        using vk::ComponentType;
        const bool types = s.a == ComponentType::s8 && s.b == ComponentType::s8 && s.c == ComponentType::s32 &&
                           s.result == ComponentType::s32;
        if (!types || !s.subgroup_scope || s.saturating || s.m == 0 || s.n == 0 || s.k < 8) continue;
        if (32 % s.k != 0 || 16 % s.m != 0 || 16 % s.n != 0) continue;
        if (best == nullptr || s.m * s.n * s.k > best->m * best->n * best->k) best = &s;
    }
    return best;
}

}  // namespace

void offer_matvec_dot(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    if (!caps.integer_dot || !has_kernel(KernelFamily::matvec_dot, shape.weight) || shape.n_in % 32 != 0) return;
    // Widths in steps of at most a third: a column past the end costs as much as one that counts.
    static constexpr uint32_t kWidths[] = {1, 2, 3, 4, 6, 8, 12, 16, 24};
    const uint32_t wanted = std::min(24u, shape.n_tokens);
    const uint32_t tokens = *std::lower_bound(std::begin(kWidths), std::end(kWidths), wanted);
    const auto offer = [&](uint32_t local, uint32_t lanes, bool subgroup_sum) {
        const uint32_t shared_bytes = !subgroup_sum && lanes > 1 ? local * tokens * 4 : 4;
        if (shared_bytes > caps.max_shared_bytes) return;
        out.push_back({.family = KernelFamily::matvec_dot,
                       .constants = {local, lanes, tokens, subgroup_sum ? 1u : 0u},
                       .tile_out = local / lanes,
                       .tile_tokens = tokens,
                       .subgroup_size = subgroup_sum ? lanes : 0,
                       .x = XKind::q8,
                       .shared_bytes = shared_bytes});
    };
    if (runs_on_cpu(caps)) return offer(lanes_at_most(caps, 8), 1, false);
    const uint32_t runs = shape.n_in / 32, local = lanes_at_most(caps, 64);
    const uint32_t lanes = std::min({std::max(8u, caps.subgroup_size), local, std::bit_ceil(runs)});
    std::vector<uint32_t> sizes = {32, 64, 16, 8};
    std::erase(sizes, choose_subgroup_size(caps));
    sizes.insert(sizes.begin(), choose_subgroup_size(caps));
    for (const uint32_t size : sizes) {
        const bool sized =
            caps.subgroup_size_control && size >= caps.min_subgroup_size && size <= caps.max_subgroup_size;
        if (sized && caps.subgroup_arithmetic && size <= local && size <= std::bit_ceil(runs)) offer(local, size, true);
    }
    offer(local, lanes, false);
}

void offer_matmul_coopmat_s8(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    const vk::CoopMatShape* matrix = byte_shape(caps);
    if (!caps.coopmat || !caps.int8 || !caps.integer_dot || !caps.subgroup_size_control || matrix == nullptr ||
        shape.n_in % 32 != 0)
        return;
    if (!has_kernel(KernelFamily::matmul_coopmat_s8, shape.weight)) return;
    const uint32_t subgroup = choose_subgroup_size(caps);
    const auto offer = [&](uint32_t tile_out, uint32_t tile_tokens, uint32_t sub_out, uint32_t sub_tokens,
                           uint32_t runs) {
        const uint32_t n_subs = tile_out / sub_out * (tile_tokens / sub_tokens), local = n_subs * subgroup;
        // A run of a row: 32 bytes, 64 of a weight that zeros fill up; two scales and two addends of a weight, a scale
        // and two sums of an activation, at most.
        const uint32_t shared_bytes = tile_out * (64 * runs + 16 + 16 * runs) +
                                      tile_tokens * (32 * runs + 16 + 12 * runs) + 8 +
                                      n_subs * matrix->m * matrix->n * 4;
        if (local > lanes_at_most(caps, 1024) || shared_bytes > caps.max_shared_bytes) return;
        out.push_back(
            {.family = KernelFamily::matmul_coopmat_s8,
             .constants = {local, tile_out, tile_tokens, sub_out, sub_tokens, matrix->m, matrix->n, matrix->k, runs},
             .tile_out = tile_out,
             .tile_tokens = tile_tokens,
             .subgroup_size = subgroup,
             .x = XKind::q8,
             .shared_bytes = shared_bytes});
    };
    // Of a subgroup: 4 matrices of sums and as many of products where a lane has 128 registers. A B580 (ANV,
    // Mesa 26.2.6, 2026-11-30, q4_k, 8 x 16 x 32) spills 265 registers with 16 matrices, 20 with 8, none with 4; an
    // A770 (8 x 8 x 32) 13 with 4 in steps of two runs, none in steps of one.
    if (registers_per_lane(caps) <= 128) {
        const uint32_t m = matrix->m, n = matrix->n;
        if (shape.n_tokens > 96) offer(8 * m, 8 * n, 2 * m, 2 * n, 1);
        if (shape.n_tokens > 32) offer(4 * m, 4 * n, 2 * m, 2 * n, registers_per_lane(caps) < 128 ? 1 : 2);
        offer(4 * m, 2 * n, 2 * m, n, 2);
        return;
    }
    if (shape.n_tokens > 96) {
        offer(128, 128, 64, 32, 1);
        offer(128, 128, 32, 32, 1);
    }
    if (shape.n_tokens > 32) offer(64, 64, 32, 32, 2);
    offer(64, 32, 32, 16, 2);
}

void offer_matmul_dot(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    if (!caps.integer_dot || !has_kernel(KernelFamily::matmul_dot, shape.weight) || shape.n_in % 32 != 0) return;
    const auto offer = [&](uint32_t tile_out, uint32_t tile_tokens, uint32_t n_out, uint32_t n_tok, uint32_t runs) {
        const uint32_t local = tile_out / n_out * (tile_tokens / n_tok);
        // A run of a row: two units of 16 bytes, at most two scales and two addends of a weight, a scale and two sums
        // of an activation.
        const uint32_t shared_bytes = (tile_out + tile_tokens) * ((2 * runs + 1) * 16 + 4 * 4 * runs) + 8;
        if (local > lanes_at_most(caps, 1024) || shared_bytes > caps.max_shared_bytes) return;
        out.push_back({.family = KernelFamily::matmul_dot,
                       .constants = {local, tile_out, tile_tokens, n_out, n_tok, runs},
                       .tile_out = tile_out,
                       .tile_tokens = tile_tokens,
                       .x = XKind::q8,
                       .shared_bytes = shared_bytes});
    };
    if (shape.n_tokens > 64) {
        offer(128, 128, 8, 8, 2);
        offer(128, 128, 4, 16, 2);
        offer(128, 64, 4, 8, 2);
    }
    if (shape.n_tokens > 32) offer(64, 64, 4, 8, 2);
    offer(64, 32, 4, 4, 2);
}

}  // namespace atlas
