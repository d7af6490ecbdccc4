#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types : require
// math: four chains of C = A * B + C in registers, pc.n rounds: 4 * 2 * kM * kN * kK operations a round and subgroup.
// shapes: A [kM, kK], B [kK, kN] f16, C [kM, kN] f32.
// layout: none.
// grid: every subgroup does the same.
// requires: VK_KHR_cooperative_matrix with this shape, f16 in and f32 out, subgroup scope; full subgroups.
// bound by: the matrix units, by design.
// source: bench/limits.h.
#include "shaders/push/bench_peak.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kM = 16;
layout(constant_id = 2) const uint kN = 16;
layout(constant_id = 3) const uint kK = 16;
layout(binding = 0, std430) readonly buffer Data { float16_t data[]; };
layout(binding = 1, std430) buffer Out { float result[]; };

void main() {
    coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> a;
    coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> b;
    coopMatLoad(a, data, 0, kK, gl_CooperativeMatrixLayoutRowMajor);
    coopMatLoad(b, data, 0, kN, gl_CooperativeMatrixLayoutRowMajor);
    coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> c0, c1, c2, c3;
    c0 = coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>(float(pc.zero));
    c1 = c0;
    c2 = c0;
    c3 = c0;
    for (uint i = 0; i < pc.n; ++i) {
        c0 = coopMatMulAdd(a, b, c0);
        c1 = coopMatMulAdd(a, b, c1);
        c2 = coopMatMulAdd(a, b, c2);
        c3 = coopMatMulAdd(a, b, c3);
    }
    c0 += c1 + c2 + c3;
    coopMatStore(c0, result, 0, kN, gl_CooperativeMatrixLayoutRowMajor);  // all write the same numbers
}
