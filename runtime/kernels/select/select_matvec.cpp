// matmul/matvec.comp: lanes share rows of w; each weight is read and unpacked once for up to 24 tokens.
#include <algorithm>
#include <array>

#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

namespace {

// kRunWeights of shaders/formats/run/<format>.glsl.
uint32_t run_elems(Format format) {
    switch (format) {
        case Format::q4_k:
        case Format::q5_k:
            return 64;
        case Format::q2_k:
        case Format::q3_k:
        case Format::q6_k:
            return 128;
        default:
            return 32;
    }
}

// Sums per row that kernels are built for: no step is much wider than what was asked for.
constexpr auto kTokenLadder = std::to_array<uint32_t>({1, 2, 3, 4, 6, 8, 12, 16, 20, 24});

uint32_t tokens_of(uint32_t n_tokens) {
    const auto found = std::lower_bound(kTokenLadder.begin(), kTokenLadder.end(), n_tokens);
    return found == kTokenLadder.end() ? kTokenLadder.back() : *found;
}

// Lanes that share a row: 16, or 8 where that wastes fewer of them in the last round. Must not depend on the number of
// tokens.
uint32_t lanes_of(uint32_t n_runs, uint32_t most) {
    const auto used = [&](uint32_t lanes) { return double(n_runs) / (double((n_runs + lanes - 1) / lanes) * lanes); };
    if (most >= 16 && (used(16) >= 0.8 || used(16) >= used(8))) return 16;
    return std::min(8u, most);
}

// Rows that share the activations which a lane reads. What RADV's compiler makes of it for navi31 (Mesa 25.0.7,
// 2026-11-21, subgroups of 32, 8 waves per SIMD wanted): 8 tokens, 4 rows: q4_0 120 VGPRs and 12 waves, q4_k 144 and
// 10, q6_k 168 and 9, q3_k 192 and 8, but q5_k 216 and 7; 24 tokens, 2 rows: q4_k 144 and 8, q6_k 168 and 8, with 4
// rows 240 and 6 and sums in memory. For GA102 (NAK, Mesa 26.2.6, 2026-11-30, bench/results/ga102/kernels.md) 8 tokens,
// 4 rows take all 255 registers of q6_k and 248 of f32, whose runs are the longest, and leave 8 warps of 48; the others
// at most 168 and 12. For a B580 (ANV, bench/results/bmg/kernels.md), spilled registers: 8 tokens, 4, 2, 1 rows: q4_k
// 142, 0, 0, q6_k 210, 54, 0; 24 tokens, 2, 1 rows: q4_k 171, 0.
uint32_t rows_of(const vk::DeviceCaps& caps, Format format, uint32_t tokens) {
    const uint32_t registers = registers_per_lane(caps);
    const bool long_runs = format == Format::f32 || run_elems(format) == 128;
    if (tokens == 1) return 2;
    if (registers <= 128) return tokens > 8 || long_runs || registers < 128 ? 1 : 2;
    if (tokens > 8 || format == Format::q5_k) return 2;
    return registers < 192 && (format == Format::f32 || format == Format::q6_k) ? 2 : 4;
}

// Of activations: 8 waves per SIMD of navi31 have 16 KiB per workgroup of 4.
constexpr uint32_t kTileBytes = 10 * 1024 + 512;

struct MatvecTuning {
    uint32_t local, lanes, tokens, rows, slice, ahead;

    uint32_t tile_bytes() const { return 16 * tokens * ahead * lanes * (slice / 4 + 1); }
    uint32_t shared_bytes(bool subgroup) const { return tile_bytes() + (subgroup ? 0 : 4 * tokens * local); }
};

// Activations in shared memory: as much of each run as fits, and of few tokens several rounds.
void fit_tile(MatvecTuning& tuning, uint32_t elems, uint32_t n_runs, uint32_t tile_bytes) {
    tuning.slice = elems;
    tuning.ahead = 1;
    while (tuning.slice > 8 && tuning.tile_bytes() > tile_bytes) tuning.slice /= 2;
    if (tuning.slice < elems) return;
    while (tuning.ahead < 4 && tuning.ahead * tuning.lanes < n_runs) {
        ++tuning.ahead;
        if (tuning.tile_bytes() <= tile_bytes) continue;
        --tuning.ahead;
        return;
    }
}

MatmulVariant variant_of(const MatvecTuning& t, bool wide_x, uint32_t subgroup_size) {
    const bool subgroup = subgroup_size != 0;
    return {.family = subgroup ? KernelFamily::matvec_subgroup : KernelFamily::matvec,
            .constants = {t.local, t.lanes, t.tokens, t.rows, t.slice, t.ahead, wide_x ? 1u : 0u},
            .tile_out = t.local / t.lanes * t.rows,
            .tile_tokens = t.tokens,
            .subgroup_size = subgroup_size,
            .shared_bytes = t.shared_bytes(subgroup)};
}

}  // namespace

void offer_matvec(const vk::DeviceCaps& caps, const MatmulShape& shape, std::vector<MatmulVariant>& out) {
    const uint32_t elems = run_elems(shape.weight), n_runs = std::max(1u, shape.n_in / elems);
    MatvecTuning tuning{.local = lanes_at_most(caps, 8),
                        .lanes = 1,
                        .tokens = tokens_of(shape.n_tokens),
                        .rows = 1,
                        .slice = 0,
                        .ahead = 1};
    if (runs_on_cpu(caps)) {
        tuning.tokens = std::min(tuning.tokens, 8u);
        fit_tile(tuning, elems, n_runs, 8 * 1024);
        out.push_back(variant_of(tuning, shape.wide_x, 0));
        return;
    }
    const bool small = caps.max_shared_bytes < 32 * 1024;
    tuning.local = lanes_at_most(caps, small ? 64 : 128);
    // An A770 (ANV, Mesa 26.2.6, 2026-11-30) spills with 24, 8 and 4 columns and 1 row 68, 27 and 0 registers of q4_k
    // and 91, 48 and 26 of q6_k.
    if (registers_per_lane(caps) < 128) tuning.tokens = std::min(tuning.tokens, elems == 128 ? 2u : 4u);
    tuning.rows = rows_of(caps, shape.weight, tuning.tokens);
    // A subgroup adds up without shared memory.
    const uint32_t size = choose_subgroup_size(caps);
    const bool subgroups = caps.subgroup_size_control && caps.subgroup_shuffle && size >= 8 && size <= tuning.local;
    for (const bool subgroup : {true, false}) {
        if (subgroup && !subgroups) continue;
        if (!subgroup &&
            subgroups) {  // the fallback of the other: fewer sums at a time, so that its memory leaves room for 8 waves
            tuning.tokens = std::min(tuning.tokens, 8u);
            tuning.rows = 2;
        }
        tuning.lanes = lanes_of(n_runs, small ? 8 : subgroup ? size : tuning.local);
        fit_tile(tuning, elems, n_runs, kTileBytes);
        out.push_back(variant_of(tuning, shape.wide_x, subgroup ? size : 0));
        if (!subgroup || tuning.tokens > 1 || tuning.rows == 1) continue;
        MatvecTuning one_row = tuning;  // for tuning: more workgroups where a matrix has few rows
        one_row.rows = 1;
        out.push_back(variant_of(one_row, shape.wide_x, size));
    }
}

}  // namespace atlas
