// Matrix products on 8-bit activations: quantize_x, then a kernel that takes XKind::q8. The last activations that were
// quantized for a kernel are remembered, so that products of the same x one after the other (q, k, v; gate, up; the row
// parts of a large matrix) share them.
#include "runtime/kernels/ops/vk_ops.h"
#include "shaders/push/matmul.h"
#include "shaders/push/quantize_x.h"

namespace atlas {

namespace {

bool overlap(const vk::BufferRange& a, const vk::BufferRange& b) {
    return a.buffer == b.buffer && a.offset_bytes < b.offset_bytes + b.bytes &&
           b.offset_bytes < a.offset_bytes + a.bytes;
}

bool same_view(const Tensor& a, const Tensor& b) {
    return a.storage == b.storage && a.format == b.format && a.offset_bytes == b.offset_bytes && a.rows == b.rows &&
           a.cols == b.cols && a.row_stride_elems == b.row_stride_elems;
}

}  // namespace

void VkOps::forget_prepared_x(std::span<const vk::Binding> bindings) {
    if (!prepared_x_) return;
    for (const vk::Binding& binding : bindings) {
        if (binding.access == vk::Access::read) continue;
        if (overlap(binding.range, prepared_x_->x_range) || overlap(binding.range, prepared_x_->made_range)) {
            prepared_x_.reset();
            return;
        }
    }
}

bool VkOps::is_prepared(const Tensor& x, const Tensor& made) const {
    // The top of the scratch stack must be the same too: then the remembered activations lie in the range just taken.
    return prepared_x_ && same_view(prepared_x_->x, x) && same_view(prepared_x_->made, made);
}

Tensor VkOps::quantize_x(const Tensor& x) {
    ATLAS_CHECK(x.cols % 32 == 0, "quantize_x: rows of {} elements", x.cols);
    const Tensor codes = scratch(x.rows, x.cols / 32 * 10, "quantized x");
    if (is_prepared(x, codes)) return codes;
    const Bound x_bound = bind(x, vk::Access::read), codes_bound = bind(codes, vk::Access::write);
    ATLAS_CHECK_EQ(codes_bound.at, 0u);
    const push::QuantizeXPush push{
        .n_in = x.cols, .n_tokens = x.rows, .x_at = x_bound.at, .x_stride = x.row_stride_elems};
    const bool cpu = runs_on_cpu(context_.caps);
    const uint32_t lanes_per_run = cpu ? 1 : 8, lanes = lanes_at_most(context_.caps, cpu ? 8 : 64);
    const double elems = double(x.rows) * x.cols;
    dispatch(kernel_module(KernelFamily::quantize_x), {lanes, lanes_per_run}, {x_bound.binding, codes_bound.binding},
             push, {groups_for(x.cols / 32, lanes / lanes_per_run), x.rows, 1}, {6 * elems, 5.25 * elems});
    prepared_x_ = {x, codes, x_bound.binding.range, codes_bound.binding.range};
    return codes;
}

void VkOps::matmul_part_q8(const MatmulVariant& variant, const Tensor& w, const Tensor& x, const Tensor& b,
                           const Tensor& y, bool repeat_b, const vk::Cost& cost) {
    const ScratchScope scope(*this);
    const Tensor codes = quantize_x(x);
    const Bound w_bound = bind(w, vk::Access::read), x_bound = bind(codes, vk::Access::read),
                y_bound = bind(y, vk::Access::write);
    const Bound b_bound = b ? bind(b, vk::Access::read) : x_bound;
    const uint32_t n_runs = x.cols / 32;
    const push::MatmulPush push{.n_out = w.rows,
                                .n_in = w.cols,
                                .n_tokens = x.rows,
                                .w_at_blocks = w_bound.at,
                                .w_stride_blocks = w.row_stride_elems / info(w.format).block_elems,
                                .x_at = x.rows * n_runs * 4,
                                .x_stride = n_runs,
                                .y_at = y_bound.at,
                                .y_stride = y.row_stride_elems,
                                .has_b = b ? 1u : 0u,
                                .b_at = b_bound.at,
                                .b_stride = repeat_b ? 0u : b.row_stride_elems,
                                .up_rows = 0,
                                .split_columns = w.cols};
    dispatch(kernel_module(variant.family, w.format, w.layout), variant.constants,
             {w_bound.binding, x_bound.binding, b_bound.binding, y_bound.binding}, push,
             {groups_for(w.rows, variant.tile_out), groups_for(x.rows, variant.tile_tokens), 1}, cost,
             variant.subgroup_size);
}

}  // namespace atlas
