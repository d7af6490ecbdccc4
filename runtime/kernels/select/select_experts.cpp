// Products of experts (shaders/experts/columns.glsl): the kernels of ordinary products with a few constants more.
#include <algorithm>

#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/select/select.h"
#include "runtime/ops/ops.h"

namespace atlas {

namespace {

// Columns at a time of a step that is not sorted. More than 8 tokens of such a step seldom share an expert (of 24
// tokens that choose 8 of 128 experts each 1.5 on average); if they do, the later passes find the weights in a cache.
constexpr uint32_t kColumns = 8;

MatmulVariant finished(MatmulVariant variant, KernelFamily family, const ExpertsForm& form, bool sorted) {
    variant.family = family;
    if (form.gated) variant.tile_out /= 2;
    variant.split_k = 1;
    variant.constants.insert(variant.constants.end(), {form.gated ? 1u : 0u, form.activation, sorted ? 1u : 0u});
    return variant;
}

void offer_rows(const vk::DeviceCaps& caps, const MatmulShape& shape, const ExpertsForm& form,
                std::vector<MatmulVariant>& out) {
    std::vector<MatmulVariant> rows;
    offer_matvec_rows(caps, shape, rows);
    for (MatmulVariant& variant : rows) {
        enum { kLocal, kSubgroup, kTokens, kRows };  // constants of matvec_rows.comp
        if (form.gated && variant.constants[kRows] < 2) {
            variant.constants[kRows] = 2;
            variant.tile_out *= 2;
        }
        out.push_back(finished(variant, KernelFamily::experts_rows, form, shape.n_tokens > kMostUnsortedTokens));
    }
}

void offer_subgroup(const vk::DeviceCaps& caps, MatmulShape shape, const ExpertsForm& form,
                    std::vector<MatmulVariant>& out) {
    if (shape.n_tokens > kMostUnsortedTokens || runs_on_cpu(caps) || !caps.subgroup_ballot) return;
    shape.n_tokens = std::min(shape.n_tokens, kColumns);
    std::vector<MatmulVariant> matvec;
    offer_matvec(caps, shape, matvec);
    for (MatmulVariant& variant : matvec) {
        enum { kLocal, kLanes, kTokens, kRows };  // constants of matvec.comp
        if (variant.family != KernelFamily::matvec_subgroup) continue;
        // Few columns of a step share an expert, so more rows would have little to share; one of each of two matrices.
        variant.constants[kRows] = 2;
        variant.tile_out = variant.constants[kLocal] / variant.constants[kLanes] * 2;
        out.push_back(finished(variant, KernelFamily::experts_subgroup, form, false));
        return;
    }
}

// Of prompts an expert gets few tokens: 32 of 512 tokens that choose 8 of 128 experts each.
void offer_tiles(const vk::DeviceCaps& caps, MatmulShape shape, const ExpertsForm& form,
                 std::vector<MatmulVariant>& out) {
    const bool sorted = shape.n_tokens > kMostUnsortedTokens;
    shape.n_tokens = 32;
    std::vector<MatmulVariant> tiles;
    offer_matmul_tiles(caps, shape, tiles);
    for (const MatmulVariant& variant : tiles) {
        if (variant.split_k == 1) out.push_back(finished(variant, KernelFamily::experts_tiles, form, sorted));
    }
}

}  // namespace

std::optional<ExpertsForm> experts_form(const MatmulVariant& variant) {
    using enum KernelFamily;
    if (variant.family != experts_rows && variant.family != experts_subgroup && variant.family != experts_tiles)
        return {};
    const auto last = variant.constants.end();
    return ExpertsForm{last[-3] != 0, last[-2], last[-1] != 0};
}

MatmulVariant with_tested_activation(MatmulVariant variant) {
    const Activation tested = experts_form(variant)->gated ? Activation::silu : Activation::none;
    variant.constants.end()[-2] = static_cast<uint32_t>(tested);
    return variant;
}

std::vector<MatmulVariant> experts_candidates(const vk::DeviceCaps& caps, const MatmulShape& shape,
                                              const ExpertsForm& form) {
    std::vector<MatmulVariant> out;
    offer_rows(caps, shape, form, out);
    offer_subgroup(caps, shape, form, out);
    offer_tiles(caps, shape, form, out);
    return out;
}

}  // namespace atlas
