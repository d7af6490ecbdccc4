#include "runtime/kernels/ops/vk_ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/kernels/view.h"

namespace atlas {

namespace {

/// Bytes from a view's first element to its last.
uint64_t span_bytes(const Tensor& tensor) {
    return (tensor.rows - 1) * tensor.row_stride_bytes() + bytes_of(tensor.format, tensor.cols);
}

}  // namespace

Tensor VkOps::scratch(uint32_t rows, uint32_t cols, std::string_view name) {
    const uint64_t bytes = uint64_t{rows} * cols * sizeof(float);
    const uint64_t offset = stack_.push(bytes);
    ATLAS_CHECK(context_.scratch != nullptr && offset + bytes <= context_.scratch->bytes(),
                "scratch {} [{}, {}] ends at byte {} of the {} that reserve_scratch was called with", name, rows, cols,
                offset + bytes, context_.scratch == nullptr ? 0 : context_.scratch->bytes());
    return {context_.scratch, Format::f32, offset, rows, cols, cols};
}

VkOps::Bound VkOps::bind_bytes(Storage* storage, uint64_t offset_bytes, uint64_t bytes, uint32_t unit_bytes,
                               vk::Access access) {
    const auto* device = dynamic_cast<VkStorage*>(storage);
    ATLAS_CHECK(device != nullptr, "a tensor whose storage is not of this backend");
    ATLAS_CHECK(offset_bytes + bytes <= storage->bytes(), "{}: bytes {}+{} of {}", storage->name(), offset_bytes, bytes,
                storage->bytes());
    const AlignedView view =
        align_view(offset_bytes, bytes, unit_bytes, context_.caps.min_storage_buffer_offset_alignment);
    ATLAS_CHECK(plan_.error || view.bytes <= context_.max_binding_bytes, "{}: a binding of {} bytes, the limit is {}",
                storage->name(), view.bytes, context_.max_binding_bytes);
    return {{device->range().sub(view.first_byte, view.bytes), access}, view.at_units};
}

VkOps::Bound VkOps::bind(const Tensor& tensor, vk::Access access) {
    if (tensor.layout == Layout::planar) return bind_planar(tensor, access);
    return bind_bytes(tensor.storage, tensor.offset_bytes, span_bytes(tensor), info(tensor.format).block_bytes, access);
}

// The binding starts and ends with whole groups; where the view starts in it is counted in blocks all the same.
VkOps::Bound VkOps::bind_planar(const Tensor& tensor, vk::Access access) {
    const uint32_t block_bytes = info(tensor.format).block_bytes,
                   group_bytes = unit_bytes(tensor.format, tensor.layout);
    const bool whole_groups = tensor.offset_bytes % group_bytes == 0 && tensor.row_stride_elems % kGroupBlocks == 0;
    ATLAS_CHECK(whole_groups || info(tensor.format).block_elems > 1, "{}: rows of planar {} that are no whole groups",
                tensor.storage->name(), info(tensor.format).name);
    const uint64_t first = tensor.offset_bytes / group_bytes * group_bytes;
    const uint64_t end = (tensor.offset_bytes + span_bytes(tensor) + group_bytes - 1) / group_bytes * group_bytes;
    Bound bound = bind_bytes(tensor.storage, first, end - first, group_bytes, access);
    bound.at = bound.at * kGroupBlocks + static_cast<uint32_t>((tensor.offset_bytes - first) / block_bytes);
    return bound;
}

VkOps::Bound VkOps::bind(const U32View& view, vk::Access access) {
    return bind_bytes(view.storage, view.offset_bytes, uint64_t{view.count} * 4, 4, access);
}

void VkOps::dispatch_bytes(const KernelModule& module, std::vector<uint32_t> constants,
                           std::span<const vk::Binding> bindings, std::span<const std::byte> push,
                           std::array<uint32_t, 3> groups, const vk::Cost& cost, uint32_t subgroup_size) {
    for (size_t i = 0; i < 3; ++i) {
        ATLAS_CHECK(groups[i] <= context_.max_groups[i], "{}: {} workgroups in dimension {}, the limit is {}",
                    module.name, groups[i], i, context_.max_groups[i]);
    }
    forget_prepared_x(bindings);
    PlannedDispatch planned;
    planned.kernel = plan_.kernel(module, std::move(constants), static_cast<uint32_t>(bindings.size()),
                                  static_cast<uint32_t>(push.size()), subgroup_size);
    planned.bindings.assign(bindings.begin(), bindings.end());
    planned.push.assign(push.begin(), push.end());
    planned.groups = groups;
    planned.cost = cost;
    planned.label = std::exchange(plan_.next_label, {});
    plan_.dispatches.push_back(std::move(planned));
}

uint32_t VkOps::max_rows(const Tensor& tensor) {
    if (!tensor || tensor.rows <= 1) return std::numeric_limits<uint32_t>::max();
    const uint32_t unit = unit_bytes(tensor.format, tensor.layout);
    const uint64_t cut_groups = tensor.layout == Layout::planar ? 2ull * unit : 0;  // at both ends
    const uint32_t rows =
        rows_that_fit(bytes_of(tensor.format, tensor.cols) + cut_groups, tensor.row_stride_bytes(), unit,
                      context_.caps.min_storage_buffer_offset_alignment, context_.max_binding_bytes);
    if (rows > 0) return rows;
    if (!plan_.error) {
        plan_.error = Error{
            ErrorCode::limit,
            fmt::format("{}: one row of {} bytes does not fit in a binding of this device, which ends at {} bytes",
                        tensor.storage->name(), bytes_of(tensor.format, tensor.cols), context_.max_binding_bytes)};
    }
    return 1;
}

uint32_t VkOps::parts_by_cost(const vk::Cost& cost) const {
    const double limit_ms = vk::max_dispatch_cost_ms(context_.quirks);
    return static_cast<uint32_t>(std::clamp(std::ceil(vk::estimate_ms(cost, context_.quirks) / limit_ms), 1.0, 1e6));
}

void VkOps::for_row_parts(uint32_t n_rows, uint32_t most, const vk::Cost& cost,
                          const std::function<void(uint32_t, uint32_t, const vk::Cost&)>& part) {
    const uint32_t by_cost = n_rows / parts_by_cost(cost);  // rounded down: no part costs more than its share
    const uint32_t per_part = std::max(1u, std::min(most, by_cost));
    for (uint32_t first = 0; first < n_rows; first += per_part) {
        const uint32_t count = std::min(per_part, n_rows - first);
        const double share = double{1} * count / n_rows;
        part(first, count, {cost.flops * share, cost.bytes * share});
    }
}

}  // namespace atlas
