#include <algorithm>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/select.h"
#include "shaders/push/get_rows.h"

namespace atlas {

// A table larger than a binding is bound part by part; each dispatch does the ids that fall in its part.
void VkOps::get_rows(const Tensor& table, const U32View& ids, const Tensor& out) {
    ATLAS_CHECK(table.cols == out.cols && ids.count == out.rows, "get_rows: table [{}, {}], {} ids, out [{}, {}]",
                table.rows, table.cols, ids.count, out.rows, out.cols);
    const uint32_t lanes = choose_element_lanes(context_.caps);
    const uint32_t table_part_rows = std::min(table.rows, max_rows(table));
    const double elems = double(out.rows) * out.cols;
    const uint32_t most = std::min(max_rows(out), context_.max_groups[1]);
    for_row_parts(out.rows, most, {2 * elems, 8 * elems}, [&](uint32_t first, uint32_t count, const vk::Cost& cost) {
        const Bound ids_bound = bind(u32_range(ids, first, count)),
                    out_bound = bind(out.row_range(first, count), vk::Access::write);
        for (uint32_t row = 0; row < table.rows; row += table_part_rows) {
            const uint32_t part_rows = std::min(table_part_rows, table.rows - row);
            const Bound table_bound = bind(table.row_range(row, part_rows), vk::Access::read);
            const push::GetRowsPush push{.cols = out.cols,
                                         .table_at_blocks = table_bound.at,
                                         .table_stride_blocks = table.row_stride_elems / info(table.format).block_elems,
                                         .first_row = row,
                                         .part_rows = part_rows,
                                         .table_rows = table.rows,
                                         .ids_at = ids_bound.at,
                                         .out_at = out_bound.at,
                                         .out_stride = out.row_stride_elems};
            dispatch(kernel_module(KernelFamily::get_rows, table.format, table.layout), {lanes},
                     {table_bound.binding, ids_bound.binding, out_bound.binding}, push,
                     {groups_for(groups_for(out.cols, 4), lanes), count, 1}, cost);
        }
    });
}

}  // namespace atlas
