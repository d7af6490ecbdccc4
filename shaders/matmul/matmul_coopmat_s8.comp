#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_control_flow_attributes : require
// math: y[t, o] = sum_i w[o, i] * q(x)[t, i]  (+ b[t, o], or b[0, o], if has_b); q(x) as push/quantize_x.h says. 8-bit products are summed
//       exactly by matrices over a run of 32 (or 16) that shares its scales, then converted to floats, scaled and
//       summed in f32.
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in] in 8 bits, y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, y and b in elements, see push/matmul.h; x as push/quantize_x.h says.
// grid: a workgroup owns kTileOut outputs (x) by kTileTokens tokens (y) and walks n_in in steps of kRuns runs of 32: the step's codes and
//       scales go to shared memory, then each subgroup multiplies its kSubOut x kSubTokens part with matrices of kM (outputs) x kN (tokens)
//       x kK. Which element of a matrix an invocation holds is not known, so scales are matrices too: one scale per row (or column), read
//       from shared memory with a stride of zero. Where kK is more than a run that shares a scale, zeros fill up the weights.
// requires: VK_KHR_cooperative_matrix with s8 x s8 -> s32 of that shape at subgroup scope; 8-bit integers; full subgroups, as many as
//           parts; kM divides kSubOut, kN kSubTokens, kK is at most 32 and divides 32; shared memory as select_dot.cpp counts it. y may be b.
// bound by: the matrix units, then scaling: three f32 operations per element and run.
// source: runtime/ops/ops.h, matmul and matmul_add.
#include "common/types.glsl"
#include "common/dot.glsl"
#include "common/each_matrix.glsl"
#include "shaders/push/matmul.h"
#define W_BLOCK(ib) w[ib]
#define FORMAT_STRUCT
#include "weight_format.glsl"
#undef FORMAT_STRUCT

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kTileOut = 64;
layout(constant_id = 2) const uint kTileTokens = 64;
layout(constant_id = 3) const uint kSubOut = 32;
layout(constant_id = 4) const uint kSubTokens = 32;
layout(constant_id = 5) const uint kM = 16;
layout(constant_id = 6) const uint kN = 16;
layout(constant_id = 7) const uint kK = 16;
layout(constant_id = 8) const uint kRuns = 1;

layout(binding = 0, scalar) readonly buffer W { Block w[]; };
layout(binding = 1, std430) readonly buffer XCodes { uvec4 x_codes[]; };   // two per run
layout(binding = 1, std430) readonly buffer XScales { uvec2 x_scales[]; };  // from pc.x_at on
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"
#include "weight_dot.glsl"

const uint kSubsOut = kTileOut / kSubOut;
const uint kSubs = kSubsOut * (kTileTokens / kSubTokens);
const uint kFragsOut = kSubOut / kM;
const uint kFragsTok = kSubTokens / kN;
const uint kFrags = kFragsOut * kFragsTok;
// Words of a part (what shares a scale) in a row of shared memory, four codes each: of x, and of w with its zeros.
const uint kPartWords = 8 / kDotScales;
const uint kPartWordsW = kPartWords < kK / 4 ? kK / 4 : kPartWords;
const uint kPitchW = kRuns * kDotScales * kPartWordsW + 4;  // 16 bytes more, against bank conflicts
const uint kPitchX = kRuns * 8 + 4;                         // and they may be read, times zero
shared uint w_tile[kTileOut * kPitchW];
shared uint x_tile[kTileTokens * kPitchX];
shared float stage[kSubs * kM * kN];
#include "matmul/q8_scales.glsl"

#define SUMS coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
#define INTEGER_SUMS coopmat<int, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
#define ROWS_ALIKE gl_CooperativeMatrixLayoutRowMajor        // with stride 0: element (i, j) is number j
#define COLUMNS_ALIKE gl_CooperativeMatrixLayoutColumnMajor  // with stride 0: element (i, j) is number i

void load_w(uint first_out, uint first_run, uint n_runs) {
    for (uint unit = gl_LocalInvocationID.x; unit < kTileOut * kRuns; unit += gl_WorkGroupSize.x) {
        const uint row = unit / kRuns, r = unit % kRuns, run = min(first_run + r, n_runs - 1);
        uint codes[8];
        vec2 scale, low;
        const uint w_row = pc.w_at_blocks + min(first_out + row, pc.n_out - 1) * pc.w_stride_blocks;
        dot32(w_row + run * 32 / kBlockElems, run * 32 % kBlockElems, codes, scale, low);
        const uint at = row * kPitchW + r * kDotScales * kPartWordsW;
        [[unroll]] for (uint j = 0; j < 8; ++j) w_tile[at + j / kPartWords * kPartWordsW + j % kPartWords] = codes[j];
        [[unroll]] for (uint s = 0; s < kDotScales; ++s) {
            for (uint j = kPartWords; j < kPartWordsW; ++j) w_tile[at + s * kPartWordsW + j] = 0;
        }
        store_w_scales(r, row, scale, low);
    }
}

void load_x(uint first_token, uint first_run, uint n_runs) {
    for (uint unit = gl_LocalInvocationID.x; unit < kTileTokens * kRuns * 2; unit += gl_WorkGroupSize.x) {
        const uint t = unit / (2 * kRuns), r = unit % (2 * kRuns);
        const uint row = min(first_token + t, pc.n_tokens - 1) * pc.x_stride;
        const uvec4 codes = x_codes[2 * (row + min(first_run + r / 2, n_runs - 1)) + r % 2];
        for (uint j = 0; j < 4; ++j) x_tile[t * kPitchX + r * 4 + j] = codes[j];
    }
    load_x_scales(first_token, first_run, n_runs);
}

// Part p of the step: its products, scaled, onto the sums.
void multiply_part(uint p, uint sub_out, uint sub_token, inout SUMS sum[kFrags]) {
    SUMS scale_w[kFragsOut], low_w[kFragsOut];
    [[unroll]] for (uint o = 0; o < kFragsOut; ++o) {
        coopMatLoad(scale_w[o], w_scale, p * kTileOut + sub_out + o * kM, 0, COLUMNS_ALIKE);
        if (kDotHasLow) coopMatLoad(low_w[o], w_low, p * kTileOut + sub_out + o * kM, 0, COLUMNS_ALIKE);
    }
    [[unroll]] for (uint t = 0; t < kFragsTok; ++t) {
        const uint token = sub_token + t * kN;
        SUMS scale_x, sum_x;
        coopMatLoad(scale_x, x_scale, p / kDotScales * kTileTokens + token, 0, ROWS_ALIKE);
        if (kDotHasLow) coopMatLoad(sum_x, x_sum, p * kTileTokens + token, 0, ROWS_ALIKE);
        INTEGER_SUMS product[kFragsOut];
        [[unroll]] for (uint o = 0; o < kFragsOut; ++o) product[o] = INTEGER_SUMS(0);
        [[unroll]] for (uint k = 0; k < kPartWordsW; k += kK / 4) {
            coopmat<int8_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB> xm;
            coopMatLoad(xm, x_tile, token * kPitchX + p * kPartWords + k, kPitchX, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint o = 0; o < kFragsOut; ++o) {
                coopmat<int8_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA> wm;
                coopMatLoad(wm, w_tile, (sub_out + o * kM) * kPitchW + p * kPartWordsW + k, kPitchW, gl_CooperativeMatrixLayoutRowMajor);
                product[o] = coopMatMulAdd(wm, xm, product[o]);
            }
        }
        [[unroll]] for (uint o = 0; o < kFragsOut; ++o) {
            sum[t * kFragsOut + o] += SUMS(product[o]) * (scale_w[o] * scale_x);
            if (kDotHasLow) sum[t * kFragsOut + o] += low_w[o] * sum_x;
        }
    }
}

// One matrix at a time through shared memory, because only there the place of each element is known.
void write_sum(SUMS sum, uint first_row, uint first_token) {
    const uint mine = gl_SubgroupID * kM * kN;
    controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
    coopMatStore(sum, stage, mine, kM, gl_CooperativeMatrixLayoutColumnMajor);
    controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
    [[dont_unroll]] for (uint e = gl_SubgroupInvocationID; e < kM * kN; e += gl_SubgroupSize) {
        const uint token = first_token + e / kM, row = first_row + e % kM;
        if (token >= pc.n_tokens || row >= pc.n_out) continue;
        float result = stage[mine + e];
        if (pc.has_b != 0) result += b[pc.b_at + token * pc.b_stride + row];
        y[pc.y_at + token * pc.y_stride + row] = result;
    }
}

void main() {
    const uint first_out = gl_WorkGroupID.x * kTileOut, first_token = gl_WorkGroupID.y * kTileTokens;
    const uint sub_out = gl_SubgroupID % kSubsOut * kSubOut, sub_token = gl_SubgroupID / kSubsOut * kSubTokens;
    SUMS sum[kFrags];
    [[unroll]] for (uint s = 0; s < kFrags; ++s) sum[s] = SUMS(0.0);

    const uint n_runs = pc.n_in / 32;
    for (uint run = 0; run < n_runs; run += kRuns) {
        barrier();
        load_w(first_out, run, n_runs);
        load_x(first_token, run, n_runs);
        barrier();
        [[unroll]] for (uint p = 0; p < kParts; ++p) multiply_part(p, sub_out, sub_token, sum);
    }

#define WRITE(f) if ((f) < kFrags) write_sum(sum[(f) < kFrags ? (f) : 0], first_out + sub_out + (f) % kFragsOut * kM, first_token + sub_token + (f) / kFragsOut * kN);
    EACH_MATRIX(WRITE)
}
