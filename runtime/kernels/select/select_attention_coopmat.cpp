// Which shapes of tiles attention_coopmat.comp and attention_coopmat2.comp are offered with.
#include <algorithm>

#include "runtime/kernels/select/attention_variant.h"
#include "runtime/kernels/select/select.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {

namespace {

struct Tiles {
    uint32_t groups = 0;  // of M rows
    uint32_t parts = 0;   // subgroups of a group
    uint32_t keys = 0;
};

/// The matrix shape to use: f16 products, f32 sums, the largest that the kernel can run in subgroups of this size.
const vk::CoopMatShape* matrix_shape(const vk::DeviceCaps& caps, uint32_t subgroup) {
    const vk::CoopMatShape* best = nullptr;
    for (const vk::CoopMatShape& s : caps.coopmat_shapes) {
        const bool half =
            s.a == vk::ComponentType::f16 && s.b == s.a && s.c == vk::ComponentType::f32 && s.result == s.c;
        const bool runs =
            s.m <= subgroup && subgroup % s.m == 0 && 32 % s.n == 0 && 32 % s.k == 0 && s.n % 8 == 0 && s.k % 8 == 0;
        if (half && runs && s.subgroup_scope && !s.saturating &&
            (best == nullptr || s.m * s.n * s.k > best->m * best->n * best->k))
            best = &s;
    }
    return best;
}

uint32_t divided_up(uint32_t n, uint32_t by) { return (n + by - 1) / by; }

/// Shared memory of the kernel, array by array as in attention_coopmat_tiles.glsl.
uint32_t shared_bytes(const vk::CoopMatShape& m, const Tiles& t, const AttentionShape& shape) {
    const uint32_t rows = t.groups * m.m, row_units = divided_up(shape.head_dim, m.k) * m.k / 8;
    const uint32_t k_tile = t.keys * (row_units | 1) * 16;
    const uint32_t v_tile = divided_up(shape.value_dim, m.n) * m.n * (t.keys / 4 + 1) * 8;
    const uint32_t work = rows * t.parts * (t.keys / 2 + 1) * 8;
    return k_tile + v_tile + work + rows * 4 + 2 * t.keys * 4;
}

// No f32 caches: users choose them to avoid rounding to halves. No steps of few tokens: their results must not depend
// on the number of tokens.
bool wants_matrices(const vk::DeviceCaps& caps, const AttentionShape& shape) {
    return shape.n_tokens > kBatchInvariantWidth && shape.formats.k != Format::f32 && shape.formats.v != Format::f32 &&
           caps.coopmat && caps.fp16 && caps.vulkan_memory_model && caps.subgroup_size_control && caps.subgroup_basic &&
           caps.subgroup_vote && caps.subgroup_arithmetic && caps.subgroup_shuffle;
}

}  // namespace

void offer_attention_coopmat(const vk::DeviceCaps& caps, const AttentionShape& shape,
                             std::vector<AttentionVariant>& out) {
    if (!has_kernel(KernelFamily::attention_coopmat) || !wants_matrices(caps, shape)) return;
    const uint32_t subgroup = choose_subgroup_size(caps);
    const vk::CoopMatShape* m = matrix_shape(caps, subgroup);
    if (m == nullptr) return;

    // Columns of Q and O that a subgroup holds. A B580 (ANV, Mesa 26.2.6, 2026-11-30, heads of 128, 8 x 16 x 16) spills
    // 218 registers with 1 part, 18 with 2, none with 4.
    const bool few_registers = registers_per_lane(caps) <= 128;
    const uint32_t most_columns = few_registers ? 64 : 256;
    std::vector<Tiles> tiles = {{4, 1, 32}, {4, 2, 32}, {4, 2, 16}, {2, 2, 16}};
    if (few_registers) tiles = {{4, 1, 32}, {4, 2, 32}, {4, 4, 32}};
    for (const Tiles& t : tiles) {
        const uint32_t threads = t.groups * t.parts * subgroup, rows = t.groups * m->m;
        const bool tiles_fit =
            m->m % t.parts == 0 && t.keys % m->n == 0 && t.keys % m->k == 0 && t.keys * m->m >= 4 * subgroup * t.parts;
        const bool registers_fit = (shape.head_dim + shape.value_dim) / t.parts <= most_columns;
        AttentionVariant variant{.family = KernelFamily::attention_coopmat,
                                 .constants = attention_constants(shape, threads, rows),
                                 .rows = rows,
                                 .subgroup_size = subgroup,
                                 .shared_bytes = shared_bytes(*m, t, shape)};
        if (!tiles_fit || !registers_fit || threads > caps.max_workgroup_invocations ||
            variant.shared_bytes > caps.max_shared_bytes)
            continue;
        for (const uint32_t constant : {t.keys, m->m, m->n, m->k, subgroup, t.parts})
            variant.constants.push_back(constant);
        out.push_back(std::move(variant));
    }
}

void offer_attention_coopmat2(const vk::DeviceCaps& caps, const AttentionShape& shape,
                              std::vector<AttentionVariant>& out) {
    const vk::CoopMat2Caps& has = caps.coopmat2;
    const bool all = has.workgroup_scope && has.flexible_dimensions && has.reductions && has.conversions &&
                     has.per_element_operations && has.tensor_addressing && has.block_loads &&
                     caps.buffer_device_address;
    if (!has_kernel(KernelFamily::attention_coopmat2) || !all || !wants_matrices(caps, shape) || shape.head_dim > 256)
        return;
    // 128 invocations, 64 rows: matrices of 16 x 16 for each of four subgroups of 32 at least. Not measured yet.
    constexpr uint32_t kThreads = 128, kRows = 64;
    const uint32_t keys = shape.head_dim + shape.value_dim > 256 ? 32 : 64;
    AttentionVariant variant{.family = KernelFamily::attention_coopmat2,
                             .constants = attention_constants(shape, kThreads, kRows),
                             .rows = kRows,
                             .subgroup_size = choose_subgroup_size(caps),
                             .shared_bytes = 12 * kRows + 4 * keys};
    for (const uint32_t constant : {keys, variant.subgroup_size}) variant.constants.push_back(constant);
    out.push_back(std::move(variant));
}

}  // namespace atlas
