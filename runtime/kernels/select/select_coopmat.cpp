// matmul/matmul_coopmat.comp: tiles of a workgroup's subgroups, multiplied by VK_KHR_cooperative_matrix in halves with
// f32 sums. matmul/matmul_coopmat2.comp: the same with matrices of a whole workgroup, which VK_NV_cooperative_matrix2
// unpacks while it loads them.
#include <algorithm>
#include <utility>

#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/select/select.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {
namespace {

/// The device's largest shape that the kernel can use, or nothing. `half_sums`: it must offer that shape with sums of
/// f16 too.
const vk::CoopMatShape* half_shape(const vk::DeviceCaps& caps, bool half_sums = false) {
    using vk::ComponentType;
    const auto halves_to = [](const vk::CoopMatShape& s, ComponentType sum) {
        return s.a == ComponentType::f16 && s.b == ComponentType::f16 && s.c == sum && s.result == sum &&
               s.subgroup_scope && !s.saturating;
    };
    const vk::CoopMatShape* best = nullptr;
    for (const vk::CoopMatShape& s : caps.coopmat_shapes) {
        if (!halves_to(s, ComponentType::f32) || s.m == 0 || s.n == 0 || s.k == 0 || 32 % s.k != 0 || 16 % s.m != 0 ||
            16 % s.n != 0)
            continue;
        const bool has_both =
            std::any_of(caps.coopmat_shapes.begin(), caps.coopmat_shapes.end(), [&](const vk::CoopMatShape& other) {
                return halves_to(other, ComponentType::f16) && other.m == s.m && other.n == s.n && other.k == s.k;
            });
        if (half_sums && !has_both) continue;
        if (best == nullptr || s.m * s.n * s.k > best->m * best->n * best->k) best = &s;
    }
    return best;
}

/// In outputs and tokens for matrices of 16 x 16; with smaller ones, tiles of as many smaller matrices.
struct Tile {
    uint32_t out, tokens, sub_out, sub_tokens, step, buffers;

    Tile of_matrices(uint32_t m, uint32_t n) const {
        return {out * m / 16, tokens * n / 16, sub_out * m / 16, sub_tokens * n / 16, step, buffers};
    }
};

/// Offers the variant split, if it should be, and whole.
void offer_with_splits(const vk::DeviceCaps& caps, const MatmulShape& shape, MatmulVariant variant,
                       std::vector<MatmulVariant>& out) {
    variant.split_k = splits_for(caps, shape, variant.tile_out, variant.tile_tokens);
    out.push_back(variant);
    if (std::exchange(variant.split_k, 1) > 1) out.push_back(variant);
}

/// Offers a kernel of matmul_coopmat.comp with this tile, where it fits.
void offer_tile(const vk::DeviceCaps& caps, const MatmulShape& shape, KernelFamily family,
                const vk::CoopMatShape& matrix, const Tile& t, std::vector<MatmulVariant>& out) {
    const uint32_t subgroup = choose_subgroup_size(caps), n_subs = t.out / t.sub_out * (t.tokens / t.sub_tokens),
                   local = n_subs * subgroup;
    const uint32_t flag_bytes = family == KernelFamily::matmul_coopmat_half_sums ? 4 : 0;
    const uint32_t shared_bytes =
        t.buffers * (t.out + t.tokens) * (t.step + 8) * 2 + n_subs * matrix.m * matrix.n * 4 + flag_bytes;
    if (local > lanes_at_most(caps, 1024) || shared_bytes > caps.max_shared_bytes) return;
    offer_with_splits(caps, shape,
                      {.family = family,
                       .constants = {local, t.out, t.tokens, t.sub_out, t.sub_tokens, matrix.m, matrix.n, matrix.k,
                                     t.step, t.buffers},
                       .tile_out = t.out,
                       .tile_tokens = t.tokens,
                       .subgroup_size = subgroup,
                       .x = XKind::f16,
                       .shared_bytes = shared_bytes},
                      out);
}

bool has_matrices(const vk::DeviceCaps& caps, KernelFamily family, Format weight) {
    return has_kernel(family, weight) && caps.coopmat && caps.fp16 && caps.subgroup_size_control;
}

// Where a lane has 128 registers a subgroup holds 4 matrices of sums: kWide is kLarge for those. A B580 (ANV,
// Mesa 26.2.6, 2026-11-30, q4_k, 8 x 16 x 16) spills 83 registers with 8 matrices, none with 4.
constexpr Tile kWide{128, 128, 32, 32, 32, 1}, kLarge{128, 128, 64, 32, 32, 1}, kLargeLongStep{128, 128, 64, 32, 64, 1},
    kTall{128, 64, 64, 32, 32, 1}, kMiddle{64, 64, 32, 32, 32, 1}, kMiddleTwice{64, 64, 32, 32, 32, 2},
    kFlat{64, 32, 32, 16, 32, 1}, kFlatTwice{64, 32, 32, 16, 32, 2};

/// Without the tiles whose sums do not fit a lane's registers.
std::vector<Tile> fitting(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<Tile> tiles) {
    if (registers_per_lane(caps) > 128) return tiles;
    std::erase_if(tiles, [](const Tile& t) { return t.sub_out / 16 * (t.sub_tokens / 16) > 4; });
    if (shape.n_tokens > 96) tiles.insert(tiles.begin(), kWide);
    return tiles;
}

}  // namespace

// Not measured, for lack of a card: sizes follow the extension's documents and public figures. The self-test at load
// and tuning decide on the card itself.
void offer_matmul_coopmat2(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    const vk::CoopMat2Caps& has = caps.coopmat2;
    const bool all = has.workgroup_scope && has.flexible_dimensions && has.tensor_addressing && has.block_loads &&
                     has.per_element_operations;
    if (!has_kernel(KernelFamily::matmul_coopmat2, shape.weight) || !caps.coopmat || !caps.fp16 ||
        !caps.buffer_device_address || !all)
        return;
    const auto offer = [&](uint32_t local, uint32_t tile_out, uint32_t tile_tokens) {
        if (local > lanes_at_most(caps, 1024)) return;
        offer_with_splits(caps, shape,
                          {.family = KernelFamily::matmul_coopmat2,
                           .constants = {local, tile_out, tile_tokens, 64},
                           .tile_out = tile_out,
                           .tile_tokens = tile_tokens,
                           .x = XKind::f16},
                          out);
    };
    if (shape.n_tokens > 128) offer(256, 128, 256);
    if (shape.n_tokens > 64) offer(256, 128, 128);
    if (shape.n_tokens > 32) offer(128, 64, 64);
    offer(128, 64, 32);
}

// Not for CPUs: on llvmpipe (Mesa 26.2, two cores, 2026-11-21) a [1024, 1024] q4_k product of 128 tokens took 57 ms of
// CPU time by matrices of 8 x 8 x 8 and 12 ms by matvec_rows.comp (4.7 and 22 GFLOP/s); q6_k 60 and 19 ms.
void offer_matmul_coopmat(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    const vk::CoopMatShape* matrix = half_shape(caps);
    if (!has_matrices(caps, KernelFamily::matmul_coopmat, shape.weight) || matrix == nullptr) return;
    // Twice the tokens in a tile cost half as much unpacking per product; but tiles that are mostly empty cost it for
    // nothing. navi31 (RADV, Mesa 25.0.7, q4_k, compiled only, 2026-11-21), waves per SIMD: kLarge 9 (8 for q6_k),
    // kMiddle 10, kFlat 11, no spills; a step of 64 columns takes 45 KB of shared memory and leaves 6, kTall 7, two
    // buffers of kTall 4 (not offered) and of kFlat 7.
    std::vector<Tile> tiles;
    if (shape.n_tokens > 96)
        tiles = {kLarge, kLargeLongStep, kTall, kMiddle, kMiddleTwice};
    else if (shape.n_tokens > 32)
        tiles = {kMiddle, kMiddleTwice, kTall, kFlat};
    else
        tiles = {kFlat, kFlatTwice};
    for (const Tile& tile : fitting(caps, shape, tiles))
        offer_tile(caps, shape, KernelFamily::matmul_coopmat, *matrix, tile.of_matrices(matrix->m, matrix->n), out);
}

void offer_matmul_coopmat_half_sums(const vk::DeviceCaps& caps, const MatmulShape& shape,
                                    std::vector<MatmulVariant>& out) {
    const vk::CoopMatShape* matrix = half_shape(caps, true);
    if (!has_matrices(caps, KernelFamily::matmul_coopmat_half_sums, shape.weight) || matrix == nullptr) return;
    const std::vector<Tile> tiles =
        shape.n_tokens > 96 ? std::vector{kLarge, kTall, kMiddle} : std::vector{kMiddle, kFlat};
    for (const Tile& tile : fitting(caps, shape, tiles)) {
        offer_tile(caps, shape, KernelFamily::matmul_coopmat_half_sums, *matrix, tile.of_matrices(matrix->m, matrix->n),
                   out);
    }
}

uint32_t splits_for(const vk::DeviceCaps& caps, const MatmulShape& shape, uint32_t tile_out, uint32_t tile_tokens) {
    // Vulkan does not say how many compute units there are. The largest supported cards have 96 and hold two workgroups
    // or more on each; integrated ones a tenth of that.
    const uint32_t wanted = caps.type == vk::DeviceType::integrated ? 32 : 192;
    const uint32_t groups =
        (shape.n_out + tile_out - 1) / tile_out * ((shape.n_tokens + tile_tokens - 1) / tile_tokens);
    const uint64_t sums_bytes = uint64_t{shape.n_tokens} * shape.n_out * sizeof(float);
    const uint64_t splits =
        std::min({uint64_t{wanted / std::max(1u, groups)}, uint64_t{most_matmul_splits(shape.n_tokens, shape.n_in)},
                  kMaxPartialSumBytes / std::max<uint64_t>(1, sums_bytes)});
    return std::max<uint32_t>(1, uint32_t(splits));
}

}  // namespace atlas
