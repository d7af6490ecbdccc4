#version 460
#extension GL_GOOGLE_include_directive : require
// math: out[i, :] = table[ids[i], :], dequantized. An id past the table reads row 0.
// shapes: table [table_rows, cols] in the WEIGHT format, of which rows first_row .. first_row + part_rows are bound; ids [n] u32; out [n, cols] f32.
// layout: table offsets in blocks, others in elements, see push/get_rows.h.
// grid: x covers runs of four columns, an invocation owns one run; y is i. Rows outside the bound part are left to another dispatch.
// requires: Vulkan 1.2 with 8- and 16-bit storage and scalar block layout.
// bound by: memory bandwidth.
// source: runtime/ops/ops.h, get_rows.
#include "common/types.glsl"
#include "shaders/push/get_rows.h"
#define W_BLOCK(ib) table[ib]
#define FORMAT_STRUCT
#include "weight_format.glsl"
#undef FORMAT_STRUCT

layout(local_size_x_id = 0) in;
layout(binding = 0, scalar) readonly buffer Table { Block table[]; };
layout(binding = 1, std430) readonly buffer Ids { uint ids[]; };
layout(binding = 2, std430) writeonly buffer Out { float result[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"

void main() {
    const uint i = gl_GlobalInvocationID.x * 4, n = gl_WorkGroupID.y;
    if (i >= pc.cols) return;
    uint id = ids[pc.ids_at + n];
    if (id >= pc.table_rows) id = 0;
    const uint row = id - pc.first_row;  // wraps to a large number for rows before the part
    if (row >= pc.part_rows) return;

    const uint ib = pc.table_at_blocks + row * pc.table_stride_blocks + i / kBlockElems;
    const uint at = pc.out_at + n * pc.out_stride + i;
    if (kBlockElems > 1 || i + 4 <= pc.cols) {
        const vec4 v = dequant4(ib, i % kBlockElems);
        result[at] = v.x;
        result[at + 1] = v.y;
        result[at + 2] = v.z;
        result[at + 3] = v.w;
    } else {
        for (uint j = 0; i + j < pc.cols; ++j) result[at + j] = dequant(ib + j, 0);
    }
}
