#include <algorithm>
#include <bit>

#include "runtime/base/check.h"
#include "runtime/kernels/select/matmul_variant.h"

namespace atlas {

std::string MatmulVariant::name() const {
    std::string text(name_of(family));
    text += fmt::format("({})", fmt::join(constants, ", "));
    if (split_k > 1) text += fmt::format("/k{}", split_k);
    return text;
}

namespace {
std::string weight_name(Format format, Layout layout) {
    return fmt::format("{}{}", info(format).name, layout == Layout::planar ? "_planar" : "");
}
}  // namespace

std::string tuning_key(const MatmulShape& shape) {
    return fmt::format("{} [{}, {}] x {}", weight_name(shape.weight, shape.layout), shape.n_out, shape.n_in,
                       std::bit_ceil(shape.n_tokens));
}

std::string rejection_key(const MatmulVariant& variant, Format weight, Layout layout) {
    return fmt::format("{} {}", variant.name(), weight_name(weight, layout));
}

uint32_t lanes_at_most(const vk::DeviceCaps& caps, uint32_t lanes) {
    const uint32_t most = std::min(caps.max_workgroup_invocations, caps.max_workgroup_size[0]);
    return std::min(lanes, most == 0 ? 1 : std::bit_floor(most));
}

std::vector<MatmulVariant> matmul_candidates(const vk::DeviceCaps& caps, const MatmulShape& shape) {
    std::vector<MatmulVariant> out;
    offer_matvec_rows(caps, shape, out);
    // Up to 24 tokens one pass over the weights serves all of them (offer_matvec), to the same bits at any width; tiles
    // then follow for tuning.
    std::vector<MatmulVariant> one_pass;
    offer_matvec(caps, shape, one_pass);
    const MatmulVariant baseline = one_pass.back();
    one_pass.pop_back();
    if (shape.n_tokens <= 24) out.insert(out.end(), one_pass.begin(), one_pass.end());
    // Tiles in shared memory only lose on a CPU, so offer nothing before the baseline that is not better.
    const bool tiles = !runs_on_cpu(caps) && shape.n_tokens > (one_pass.empty() ? 24 : 8);
    // Up to 24 tokens (a verify step, several sequences) exact products come first: a token's result must not depend on
    // the other tokens in its step.
    const bool prompt = shape.n_tokens > 24, dots_first = caps.integer_dot_accelerated && prompt;
    const auto offer_halves = [&] {
        offer_matmul_coopmat2(caps, shape, out);  // kept only where the self-test at load passes
        offer_matmul_coopmat(caps, shape, out);
    };
    const auto offer_bytes = [&] {
        offer_matmul_coopmat_s8(caps, shape, out);
        offer_matmul_dot(caps, shape, out);
    };
    // Halves before bytes: as fast on some cards, slower on others, and more exact everywhere. Tuning decides on the
    // card.
    if (tiles && prompt) offer_halves();
    if (tiles && dots_first) offer_bytes();
    if (tiles) offer_matmul_tiles(caps, shape, out);
    if (tiles && !prompt) offer_halves();
    if (tiles && !dots_first) offer_bytes();
    // f16 sums: twice as fast on some cards, less exact on all. So they are for prefill, and never a default: only
    // where `tune` found them faster.
    if (tiles && prompt) offer_matmul_coopmat_half_sums(caps, shape, out);
    out.push_back(baseline);
    // Products on 8-bit activations round them. Few tokens are bound by memory anyway, so exact kernels stay first
    // there; and the last candidate is exact and runs everywhere. CPUs take dot products apart: SmolLM2-135M q4_1 on
    // llvmpipe, CPU time of 48 tokens, exact against matvec_dot: 3.6 and 3.6 s in steps of 1, 2.0 and 3.5 s in steps of
    // 8 (Mesa 25.0.7, AVX-512 EPYC, 2026-11-21).
    std::vector<MatmulVariant> dots;
    if (shape.n_tokens <= 24 && !runs_on_cpu(caps)) offer_matvec_dot(caps, shape, dots);
    if (out.size() == 1 && !dots.empty()) {
        MatmulVariant one_lane = out.back();  // the same kernel, a row per invocation
        one_lane.constants[0] = lanes_at_most(caps, 8);
        one_lane.constants[1] = 1;
        one_lane.tile_out = one_lane.constants[0] * one_lane.constants[3];
        if (one_lane.name() != out.back().name()) out.push_back(one_lane);
    }
    if (out.size() > 1) out.insert(out.end() - 1, dots.begin(), dots.end());
    std::erase_if(out, [&](const MatmulVariant& v) { return !has_kernel(v.family, shape.weight, shape.layout); });
    return out;
}

namespace {

bool is_rejected(const KernelChoices& choices, const MatmulVariant& variant, const MatmulShape& shape) {
    return choices.rejected.contains(rejection_key(variant, shape.weight, shape.layout));
}

MatmulVariant pick(const KernelChoices& choices, const MatmulShape& shape,
                   const std::vector<MatmulVariant>& candidates) {
    const auto rejected = [&](const MatmulVariant& v) { return is_rejected(choices, v, shape); };
    for (const MatmulVariant& v : candidates) {
        if (!choices.forced.empty() && v.name().starts_with(choices.forced) && !rejected(v)) return v;
    }
    if (const auto wanted = choices.preferred.find(tuning_key(shape)); wanted != choices.preferred.end()) {
        for (const MatmulVariant& v : candidates) {
            if (v.name() == wanted->second && !rejected(v)) return v;
        }
    }
    for (const MatmulVariant& v : candidates) {
        if (!rejected(v)) return v;
    }
    return candidates.back();
}

}  // namespace

std::optional<MatmulVariant> choose_gated(const vk::DeviceCaps& caps, const KernelChoices& choices,
                                          const MatmulShape& shape) {
    if (choices.only) return choices.only->family == KernelFamily::matvec_gated ? choices.only : std::nullopt;
    MatmulVariant variant = pick(choices, shape, matmul_candidates(caps, shape));
    if (variant.family != KernelFamily::matvec_subgroup || shape.n_tokens > variant.tile_tokens) return {};
    enum { kLocal, kLanes, kTokens, kRows };  // constants of matvec.comp
    variant.family = KernelFamily::matvec_gated;
    if (shape.n_tokens > 1 && variant.constants[kRows] < 2)
        return {};  // a row of each matrix is more than there are registers for
    // Half of them of each matrix. 4 rows of q3_k for 8 tokens: 216 VGPRs and 7 waves on navi31 (RADV, Mesa 25.0.7,
    // 2026-11-21).
    variant.constants[kRows] = std::clamp(variant.constants[kRows], 2u, shape.weight == Format::q3_k ? 2u : 4u);
    variant.tile_out = variant.constants[kLocal] / variant.constants[kLanes] * variant.constants[kRows] / 2;
    if (!has_kernel(variant.family, shape.weight, shape.layout) || is_rejected(choices, variant, shape)) return {};
    if (choices.log != nullptr) choices.log->push_back({variant, shape});
    return variant;
}

MatmulVariant choose_matmul(const vk::DeviceCaps& caps, const KernelChoices& choices, const MatmulShape& shape) {
    if (choices.only) return *choices.only;
    MatmulVariant variant = pick(choices, shape, matmul_candidates(caps, shape));
    if (choices.log != nullptr) choices.log->push_back({variant, shape});
    return variant;
}

MatmulVariant choose_experts(const vk::DeviceCaps& caps, const KernelChoices& choices, const MatmulShape& shape,
                             const ExpertsForm& form) {
    if (choices.only) return *choices.only;
    MatmulVariant variant = pick(choices, shape, experts_candidates(caps, shape, form));
    if (choices.log != nullptr) choices.log->push_back({variant, shape});
    return variant;
}

}  // namespace atlas
