#pragma once
// Which variant of a kernel runs, and how it is tuned: pure functions of what the device can do and of the shape. Vendor names, if
// ever needed, stand in select.cpp and nowhere else in this folder.

#include <cstdint>

#include "quant/format.h"
#include "runtime/vk/caps.h"

namespace atlas {

/// matmul/matvec.comp: a row of w is shared by lanes_per_row invocations, and unpacked once for `tokens` tokens.
struct MatvecTuning {
    uint32_t local_size = 0;
    uint32_t lanes_per_row = 0;  // a power of two that divides local_size
    uint32_t tokens = 0;
    uint32_t rows_per_group() const { return local_size / lanes_per_row; }
};

/// matmul/matmul.comp: a workgroup owns tile_out x tile_tokens results, an invocation out x tok of them.
struct MatmulTuning {
    uint32_t tile_out = 0;
    uint32_t tile_tokens = 0;
    uint32_t out = 0;
    uint32_t tok = 0;
    uint32_t local_size() const { return tile_out / out * (tile_tokens / tok); }
    uint32_t shared_bytes() const { return (tile_out + tile_tokens) * 33 * 4; }
};

/// matmul/matvec_rows.comp: a row of w per invocation; activations are read by whole subgroups and broadcast.
struct MatvecRowsTuning {
    uint32_t local_size = 0;
    uint32_t subgroup = 0;
    uint32_t tokens = 0;
};

struct MatmulChoice {
    enum class Kernel { matvec, matvec_rows, matmul };
    Kernel kernel = Kernel::matvec;
    MatvecTuning matvec;    // for the kernel that was chosen
    MatvecRowsTuning rows;
    MatmulTuning tile;
};
MatmulChoice choose_matmul(const vk::DeviceCaps& caps, Format weight, uint32_t n_out, uint32_t n_in, uint32_t n_tokens);

/// attention/attention.comp: `lanes` invocations, one key each per tile; `heads` query heads share what is read.
struct AttentionTuning {
    uint32_t lanes = 0;
    uint32_t heads = 0;  // divides heads_per_kv
    uint32_t shared_bytes(uint32_t head_dim) const { return 4 * (heads * (head_dim + lanes) + lanes); }
};
AttentionTuning choose_attention(const vk::DeviceCaps& caps, uint32_t head_dim, uint32_t heads_per_kv);

/// Invocations of a workgroup that owns a row (norm): a power of two, at most 256.
uint32_t choose_row_lanes(const vk::DeviceCaps& caps, uint32_t cols);
/// Invocations of a workgroup where each owns an element (add, rope, ...).
uint32_t choose_element_lanes(const vk::DeviceCaps& caps);

}  // namespace atlas
