#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_buffer_reference : require
// math: y[t, o] = sum_i w[o, i] * x[t, i]  (+ b[t, o], or b[0, o], if has_b). Weights are rounded to halves (f32 and bf16 ones clamped to
//       what a half holds), activations come as halves with a scale per token; products and sums are f32.
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in] halves; y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, x in units of 16 bytes (see push/half_x.h), others in elements, see push/matmul.h.
// grid: a workgroup owns kTileOut outputs (x) by kTileTokens tokens (y) of a split of the columns (z). Its matrices are of workgroup
//       scope: the driver divides them among the subgroups and stages operands in shared memory. Weights are unpacked by the function that
//       the load calls for every element; tensor layouts clamp at the edges, so there are no special cases.
// requires: VK_NV_cooperative_matrix2 with workgroup scope, flexible dimensions, tensor addressing, block loads and per-element
//           operations; buffer device addresses (a capability that block loads bring along; nothing is addressed so). y may be b.
// bound by: the matrix units; then unpacking.
// source: runtime/ops/ops.h, matmul and matmul_add.
#include "common/types.glsl"
#include "shaders/push/matmul.h"
#define W_BLOCK(ib) w[ib]
#define FORMAT_STRUCT
#include "weight_format.glsl"
#undef FORMAT_STRUCT

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kTileOut = 128;
layout(constant_id = 2) const uint kTileTokens = 128;
layout(constant_id = 3) const uint kStep = 32;

layout(binding = 0, scalar) readonly buffer W { Block w[]; };
layout(binding = 1, std430) readonly buffer X { float16_t x[]; };
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"

// What a load hands to the function below. The block that it points to is known by its place as well, and read through the binding, so
// that formats need not know where blocks come from.
layout(buffer_reference, scalar, buffer_reference_align = 2) readonly buffer BlockAt { Block block; };

float16_t weight(const in BlockAt at, const in uint block_at[2], const in uint in_block[2]) {
    const float value = dequant(pc.w_at_blocks + block_at[0] * pc.w_stride_blocks + block_at[1], in_block[1]);
#if defined(WEIGHT_f32) || defined(WEIGHT_bf16)
    return float16_t(clamp(value, -65504.0, 65504.0));
#else
    return float16_t(value);
#endif
}

float finished(const in uint row, const in uint column, const in float sum, const in uint first_out, const in uint first_token) {
    const uint o = first_out + row, t = first_token + column;
    if (o >= pc.n_out || t >= pc.n_tokens) return sum;
    const uint scale_at = (pc.x_at + (t + 1) * pc.x_stride - 1) * 8;
    float result = sum * uintBitsToFloat(packFloat2x16(f16vec2(x[scale_at], x[scale_at + 1])));
    if (pc.has_b != 0) result += b[pc.b_at + t * pc.b_stride + o];
    return result;
}

void main() {
    const uint first_out = gl_WorkGroupID.x * kTileOut, first_token = gl_WorkGroupID.y * kTileTokens;
    const uint first_column = gl_WorkGroupID.z * pc.split_columns, end = min(first_column + pc.split_columns, pc.n_in);

    // Elements past an edge read as zero, and are not written.
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> w_layout = createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    w_layout = setTensorLayoutBlockSizeNV(w_layout, 1, kBlockElems);
    w_layout = setTensorLayoutDimensionNV(w_layout, pc.n_out, pc.n_in);
    w_layout = setTensorLayoutStrideNV(w_layout, pc.w_stride_blocks, 1);
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> x_layout = createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    x_layout = setTensorLayoutDimensionNV(x_layout, pc.n_tokens, pc.n_in);
    x_layout = setTensorLayoutStrideNV(x_layout, pc.x_stride * 8, 1);
    tensorLayoutNV<2, gl_CooperativeMatrixClampModeConstantNV> y_layout = createTensorLayoutNV(2, gl_CooperativeMatrixClampModeConstantNV);
    y_layout = setTensorLayoutDimensionNV(y_layout, pc.n_tokens, pc.n_out);
    y_layout = setTensorLayoutStrideNV(y_layout, pc.y_stride, 1);
    tensorViewNV<2, false, 1, 0> transposed = createTensorViewNV(2, false, 1, 0);

    coopmat<float, gl_ScopeWorkgroup, kTileOut, kTileTokens, gl_MatrixUseAccumulator> sum =
        coopmat<float, gl_ScopeWorkgroup, kTileOut, kTileTokens, gl_MatrixUseAccumulator>(0.0);
    for (uint column = first_column; column < end; column += kStep) {
        coopmat<float16_t, gl_ScopeWorkgroup, kTileOut, kStep, gl_MatrixUseA> wm;
        coopmat<float16_t, gl_ScopeWorkgroup, kStep, kTileTokens, gl_MatrixUseB> xm;
        coopMatLoadTensorNV(wm, w, pc.w_at_blocks, sliceTensorLayoutNV(w_layout, first_out, kTileOut, column, kStep), weight);
        coopMatLoadTensorNV(xm, x, pc.x_at * 8, sliceTensorLayoutNV(x_layout, first_token, kTileTokens, column, kStep), transposed);
        sum = coopMatMulAdd(wm, xm, sum);
    }
    coopMatPerElementNV(sum, sum, finished, first_out, first_token);
    coopMatStoreTensorNV(sum, y, pc.y_at + gl_WorkGroupID.z * pc.n_tokens * pc.y_stride,
                         sliceTensorLayoutNV(y_layout, first_token, kTileTokens, first_out, kTileOut), transposed);
}
