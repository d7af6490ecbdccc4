// Blocks of experts. Up to 24 tokens: one dispatch, in which the workgroups find the tokens of each chosen expert.
// More: the choices are sorted by expert before.
#include "runtime/ops/experts.h"

#include <algorithm>
#include <optional>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"
#include "shaders/experts/tile.h"
#include "shaders/push/experts.h"
#include "shaders/push/route.h"
#include "shaders/push/sort_routes.h"

namespace atlas {

namespace {

static_assert(kExpertTileWords == expert_tile::kTileWords);

uint32_t n_experts_of(const ExpertMatrices& m) { return m.w.rows / m.stride; }

// From a row of the gate to its row of `up`; nothing if they cannot be read through one binding.
std::optional<uint32_t> rows_between(const ExpertMatrices& gate, const ExpertMatrices& up) {
    const Tensor &g = gate.w, &u = up.w;
    const bool same_rows = g.storage == u.storage && g.format == u.format && g.layout == u.layout && g.cols == u.cols &&
                           g.row_stride_elems == u.row_stride_elems && gate.stride == up.stride;
    if (!same_rows || u.offset_bytes < g.offset_bytes || (u.offset_bytes - g.offset_bytes) % g.row_stride_bytes() != 0)
        return {};
    const uint64_t rows = (u.offset_bytes - g.offset_bytes) / g.row_stride_bytes() + up.first;
    if (rows <= gate.first || rows - gate.first > UINT32_MAX / 2) return {};
    return static_cast<uint32_t>(rows - gate.first);
}

// All rows of the experts that a product reads, from the first one of expert 0 on.
Tensor all_rows(const ExpertMatrices& m, uint32_t up_rows) {
    Tensor rows = m.w;
    rows.offset_bytes += m.first * rows.row_stride_bytes();
    rows.rows = (n_experts_of(m) - 1) * m.stride + up_rows + m.n_out;
    return rows;
}

}  // namespace

void VkOps::route(const Tensor& logits, const Tensor& bias, const RoutingParams& params, const Tensor& routes) {
    constexpr uint32_t kMostExperts = 512, kMostUsed = 32;  // shaders/experts/route.comp
    const uint32_t n_experts = logits.cols;
    ATLAS_CHECK(n_experts <= kMostExperts && params.n_used > 0 && params.n_used <= std::min(kMostUsed, n_experts) &&
                    routes.cols == 2 * params.n_used && routes.rows == logits.rows,
                "route: {} of {} experts, [{}, {}] to [{}, {}]", params.n_used, n_experts, logits.rows, logits.cols,
                routes.rows, routes.cols);
    ATLAS_CHECK(params.n_groups > 0 && n_experts % params.n_groups == 0 &&
                    params.n_used <= params.n_groups_used * (n_experts / params.n_groups),
                "route: {} of {} groups, {} of {} experts", params.n_groups_used, params.n_groups, params.n_used,
                n_experts);
    const uint32_t lanes = choose_row_lanes(context_.caps, 4 * n_experts);
    const double compared = double(logits.rows) * n_experts * n_experts;
    const uint32_t most = std::min({max_rows(logits), max_rows(routes), context_.max_groups[0]});
    for_row_parts(logits.rows, most, {2 * compared, 4.0 * logits.rows * n_experts},
                  [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
                      const Bound in = bind(logits.row_range(first, count), vk::Access::read),
                                  out = bind(routes.row_range(first, count), vk::Access::write);
                      const Bound b = bias ? bind(bias, vk::Access::read) : in;
                      const push::RoutePush push{.n_experts = n_experts,
                                                 .n_used = params.n_used,
                                                 .n_groups = params.n_groups,
                                                 .n_groups_used = params.n_groups_used,
                                                 .normalized = params.normalized ? 1u : 0u,
                                                 .scale = params.scale,
                                                 .logits_at = in.at,
                                                 .logits_stride = logits.row_stride_elems,
                                                 .has_bias = bias ? 1u : 0u,
                                                 .bias_at = b.at,
                                                 .routes_at = out.at,
                                                 .routes_stride = routes.row_stride_elems};
                      dispatch(kernel_module(KernelFamily::route), {lanes, static_cast<uint32_t>(params.gating)},
                               {in.binding, b.binding, out.binding}, push, {count, 1, 1}, cost);
                  });
}

void VkOps::experts_up(Activation activation, const ExpertMatrices& gate, const ExpertMatrices& up, const Tensor& x,
                       const Tensor& routes, const Tensor& y) {
    const uint32_t n_used = routes.cols / 2;
    ATLAS_CHECK(y.rows == x.rows * n_used && y.cols == up.n_out && up.w.cols == x.cols && routes.rows == x.rows,
                "experts_up: [{}, {}] of {} choices to [{}, {}]", x.rows, x.cols, n_used, y.rows, y.cols);
    const auto product_of = [&](const ExpertMatrices& matrices, uint32_t number) {
        return ExpertsProduct{.matrices = matrices, .activation = number, .y_token_rows = n_used, .y_choice_rows = 1};
    };
    const auto number = static_cast<uint32_t>(activation);
    if (!gate) return experts_product(product_of(up, number), x, routes, y);
    const auto up_rows = rows_between(gate, up);
    if (context_.fused && up_rows && max_rows(all_rows(gate, *up_rows)) > *up_rows) {
        ExpertsProduct both = product_of(gate, number);
        both.up = &up;
        both.up_rows = *up_rows;
        return experts_product(both, x, routes, y);
    }
    const ScratchScope scope(*this);
    const Tensor gates = scratch(y.rows, y.cols, "gates");
    experts_product(product_of(gate, static_cast<uint32_t>(Activation::none)), x, routes, gates);
    experts_product(product_of(up, static_cast<uint32_t>(Activation::none)), x, routes, y);
    gated_mul(activation, gates, y, y);
}

void VkOps::experts_down(const ExpertMatrices& down, const Tensor& x, const Tensor& routes, const Tensor& y) {
    const uint32_t n_used = routes.cols / 2;
    ATLAS_CHECK(x.rows == y.rows * n_used && y.cols == down.n_out && down.w.cols == x.cols && routes.rows == y.rows,
                "experts_down: [{}, {}] of {} choices to [{}, {}]", x.rows, x.cols, n_used, y.rows, y.cols);
    const ScratchScope scope(*this);
    const Tensor results = scratch(x.rows, y.cols, "weighted results");
    const uint32_t most =
        std::max(1u, std::min({max_rows(results) / n_used, max_rows(x) / n_used, max_rows(routes), max_rows(y)}));
    for (uint32_t first = 0; first < y.rows; first += most) {
        const uint32_t count = std::min(most, y.rows - first);
        const Tensor part = results.row_range(0, count * n_used);
        experts_product({.matrices = down,
                         .activation = static_cast<uint32_t>(Activation::none),
                         .weighted = true,
                         .x_token_rows = n_used,
                         .x_choice_rows = 1,
                         .y_token_rows = 1,
                         .y_choice_rows = count},
                        x.row_range(first * n_used, count * n_used), routes.row_range(first, count), part);
        sum_splits(part, n_used, Tensor{}, y.row_range(first, count), false);
    }
}

Tensor VkOps::sort_routes(const Tensor& routes, uint32_t n_experts, uint32_t tile_columns) {
    const uint32_t n_used = routes.cols / 2, pairs = routes.rows * n_used;
    const Tensor table = scratch(1, expert_table_words(routes.rows, n_used, n_experts, tile_columns), "sorted routes");
    const Bound in = bind(routes, vk::Access::read), out = bind(table, vk::Access::write);
    const push::SortRoutesPush push{.n_experts = n_experts,
                                    .n_tokens = routes.rows,
                                    .n_used = n_used,
                                    .routes_at = in.at,
                                    .routes_stride = routes.row_stride_elems,
                                    .table_at = out.at,
                                    .n_tiles = (table.cols - pairs) / expert_tile::kTileWords,
                                    .tile_columns = tile_columns};
    dispatch(kernel_module(KernelFamily::sort_routes), {choose_row_lanes(context_.caps, 1024)},
             {in.binding, out.binding}, push, {1, 1, 1}, {4.0 * pairs, 16.0 * pairs});
    return table;
}

void VkOps::experts_product(const ExpertsProduct& product, const Tensor& x, const Tensor& routes, const Tensor& y) {
    const ExpertMatrices& m = product.matrices;
    const uint32_t n_experts = n_experts_of(m), n_used = routes.cols / 2;
    // As many tokens as the bindings of their rows have room for; then as many experts; then rows of one.
    const uint32_t most_tokens =
        std::max(1u, std::min({max_rows(x) / product.x_token_rows, max_rows(y) / n_used, max_rows(routes)}));
    if (most_tokens < routes.rows) {
        ATLAS_CHECK(!product.weighted, "experts_down cuts its tokens itself");
        for (uint32_t first = 0; first < routes.rows; first += most_tokens) {
            const uint32_t count = std::min(most_tokens, routes.rows - first);
            experts_product(product, x.row_range(first * product.x_token_rows, count * product.x_token_rows),
                            routes.row_range(first, count), y.row_range(first * n_used, count * n_used));
        }
        return;
    }
    const bool wide_x = bind(x, vk::Access::read).at % 4 == 0 && x.row_stride_elems % 4 == 0 && x.cols % 4 == 0;
    const MatmulVariant variant = choose_experts(context_.caps, context_.choices,
                                                 {m.w.format, m.n_out, m.w.cols, routes.rows, m.w.layout, wide_x},
                                                 {product.up != nullptr, product.activation});
    const ScratchScope scope(*this);
    const bool sorted = experts_form(variant)->sorted;
    const Tensor table = sorted ? sort_routes(routes, n_experts, variant.tile_tokens) : Tensor{};
    const uint32_t fits = max_rows(all_rows(m, product.up_rows)), one = product.up_rows + m.n_out;
    const uint32_t most_experts = fits < one ? 1 : std::min(n_experts, (fits - one) / m.stride + 1);
    const uint32_t most_rows = std::min(fits < one ? fits - product.up_rows : m.n_out, context_.max_groups[0]);
    const double pairs = double(routes.rows) * n_used, share = double(most_experts) / n_experts,
                 matrices = product.up != nullptr ? 2 : 1;
    const vk::Cost cost{
        2 * share * pairs * m.n_out * m.w.cols * matrices,
        share * std::min(pairs, double(n_experts)) * m.n_out * double(m.w.row_stride_bytes()) * matrices};
    for (uint32_t first = 0; first < n_experts; first += most_experts) {
        const uint32_t count = std::min(most_experts, n_experts - first);
        for_row_parts(m.n_out, most_rows, cost, [&](uint32_t row, uint32_t n_rows, const vk::Cost& part) {
            experts_part(product, variant, {first, count, row, n_rows}, x, routes, table, y, part);
        });
    }
}

void VkOps::experts_part(const ExpertsProduct& product, const MatmulVariant& variant, const ExpertsPart& part,
                         const Tensor& x, const Tensor& routes, const Tensor& table, const Tensor& y,
                         const vk::Cost& cost) {
    const ExpertMatrices& m = product.matrices;
    const uint32_t block_elems = info(m.w.format).block_elems;
    Tensor w = m.w.row_range(part.first_expert * m.stride + m.first + part.first_row, 0);
    w.rows = (part.n_experts - 1) * m.stride + product.up_rows + part.n_rows;
    const Bound w_bound = bind(w, vk::Access::read), x_bound = bind(x, vk::Access::read),
                routes_bound = bind(routes, vk::Access::read),
                y_bound = bind(y.col_range(part.first_row, part.n_rows), vk::Access::write);
    const auto bound_or = [&](const Tensor& tensor) { return tensor ? bind(tensor, vk::Access::read) : routes_bound; };
    const ExpertMatrices none, &up = product.up != nullptr ? *product.up : none;
    const Bound b = bound_or(m.b), up_b = bound_or(up.b), scale = bound_or(m.scale), up_scale = bound_or(up.scale),
                table_bound = bound_or(table);
    const uint32_t n_used = routes.cols / 2, pairs = routes.rows * n_used, list_at = table ? table.cols - pairs : 0;
    const push::ExpertsPush push{.n_out = part.n_rows,
                                 .n_in = m.w.cols,
                                 .n_tokens = routes.rows,
                                 .n_used = n_used,
                                 .first_expert = part.first_expert,
                                 .n_experts = part.n_experts,
                                 .w_at_blocks = w_bound.at,
                                 .w_stride_blocks = w.row_stride_elems / block_elems,
                                 .expert_stride_blocks = m.stride * (w.row_stride_elems / block_elems),
                                 .up_rows = product.up_rows,
                                 .x_at = x_bound.at,
                                 .x_stride = x.row_stride_elems,
                                 .x_token_rows = product.x_token_rows,
                                 .x_choice_rows = product.x_choice_rows,
                                 .y_at = y_bound.at,
                                 .y_stride = y.row_stride_elems,
                                 .y_token_rows = product.y_token_rows,
                                 .y_choice_rows = product.y_choice_rows,
                                 .routes_at = routes_bound.at,
                                 .routes_stride = routes.row_stride_elems,
                                 .list_at = list_at,
                                 .has = (m.b ? push::kHasBias : 0) | (up.b ? push::kHasUpBias : 0) |
                                        (m.scale ? push::kHasScale : 0) | (up.scale ? push::kHasUpScale : 0) |
                                        (product.weighted ? push::kHasWeights : 0),
                                 .b_at = b.at + part.first_row,
                                 .b_stride = m.b.row_stride_elems,
                                 .up_b_at = up_b.at + part.first_row,
                                 .up_b_stride = up.b.row_stride_elems,
                                 .scale_at = scale.at,
                                 .up_scale_at = up_scale.at};
    const uint32_t columns = table ? list_at / expert_tile::kTileWords : pairs;
    dispatch(kernel_module(variant.family, m.w.format, m.w.layout), variant.constants,
             {w_bound.binding, x_bound.binding, b.binding, y_bound.binding, routes_bound.binding, table_bound.binding,
              up_b.binding, scale.binding, up_scale.binding},
             push, {groups_for(part.n_rows, variant.tile_out), columns, 1}, cost, variant.subgroup_size);
}

}  // namespace atlas
