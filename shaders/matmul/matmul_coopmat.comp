#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_control_flow_attributes : require
// math: y[t, o] = sum_i w[o, i] * x[t, i]  (+ b[t, o], or b[0, o], if has_b). Weights are rounded to halves, activations come as halves
//       with a scale per token; products and sums are f32. Weights of magnitude 65520 and more are outside of what a half holds: those of
//       f32 and bf16 are clamped to 65504, a block format would need a scale that large.
// shapes: w [n_out, n_in] in the WEIGHT format; x [n_tokens, n_in] halves; y [n_tokens, n_out], b [n_tokens or 1, n_out] f32.
// layout: w offsets in blocks, x in units of 16 bytes (see push/half_x.h), others in elements, see push/matmul.h.
// grid: a workgroup owns kTileOut outputs (x) by kTileTokens tokens (y) of a split of the columns (z) and walks it in steps of kStep: the
//       step's weights (unpacked, a run of 32 per invocation) and activations go to shared memory, rows padded by 16 bytes against bank
//       conflicts; then each subgroup multiplies its kSubOut x kSubTokens part with matrices of kM (outputs) x kN (tokens) x kK.
//       With kBuffers = 2 a subgroup fills one half of shared memory while others still multiply from the other.
//       With HALF_SUMS products of kPeriod columns are added up in f16, and these sums in f32. Activations are divided
//       by 64 more, so that they lie below 512: kPeriod products sum up to less than 65504 where weights lie below 3.99
//       (f16's sums end at 2^-24, a 2^-33rd of the token's largest activation). If a sum overflows nevertheless, the
//       result is infinite or NaN, and the tile is computed again with f32 sums.
// requires: VK_KHR_cooperative_matrix with f16 x f16 -> f32 (with HALF_SUMS -> f16 too) of that shape at subgroup scope; full subgroups, as many as parts; kM divides
//           kSubOut, kN kSubTokens, kK kStep; kStep 32 or 64; shared memory as select_coopmat.cpp counts it. y may be b.
// bound by: the matrix units; then unpacking, which costs less the more tokens a tile has.
// source: runtime/ops/ops.h, matmul and matmul_add.
#include "common/types.glsl"
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
layout(constant_id = 8) const uint kStep = 32;
layout(constant_id = 9) const uint kBuffers = 1;

layout(binding = 0, scalar) readonly buffer W { Block w[]; };
layout(binding = 1, std430) readonly buffer X { uvec4 x[]; };
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

#define FORMAT_FUNCTIONS
#include "weight_format.glsl"

const uint kSubsOut = kTileOut / kSubOut;
const uint kSubs = kSubsOut * (kTileTokens / kSubTokens);
const uint kFragsOut = kSubOut / kM;
const uint kFragsTok = kSubTokens / kN;
const uint kFrags = kFragsTok * kFragsOut;
const uint kPitch = kStep / 4 + 2;  // of a row in shared memory, in f16vec4
const uint kRuns = kStep / 32;      // of a row of w
const uint kUnits = kStep / 8;      // of a row of x
const uint kPeriod = 32;            // columns whose products are added up in f16

shared f16vec4 w_tile[kBuffers * kTileOut * kPitch];
shared f16vec4 x_tile[kBuffers * kTileTokens * kPitch];
shared float stage[kSubs * kM * kN];
#ifdef HALF_SUMS
shared uint overflowed;
const float kXDivisor = 64.0;  // beyond the scale of the token's halves
#else
const float kXDivisor = 1.0;
#endif

// 32 weights of a row from column i on; zeros past the end of the row.
void load_run(uint row, uint i, out vec4 v[8]) {
    const uint w_row = pc.w_at_blocks + row * pc.w_stride_blocks;
    if (i + 32 <= pc.n_in) {
        dequant32(w_row + i / kBlockElems, i % kBlockElems, v);
    } else {
        [[unroll]] for (uint j = 0; j < 8; ++j) v[j] = vec4(0.0);
        if (kBlockElems == 1) {  // every place is a constant, so that v stays in registers
            [[unroll]] for (uint j = 0; j < 32; ++j) {
                if (i + j < pc.n_in) v[j / 4][j % 4] = dequant(w_row + i + j, 0);
            }
        }
    }
}

f16vec4 to_half(vec4 v) {
#if defined(WEIGHT_f32) || defined(WEIGHT_bf16)
    return f16vec4(clamp(v, -65504.0, 65504.0));
#else
    return f16vec4(v);
#endif
}

void load_step(uint buf, uint first_out, uint first_token, uint column) {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    [[unroll]] for (uint first = 0; first < kTileTokens * kUnits; first += lanes) {
        const uint unit = first + lane, t = unit / kUnits, c = unit % kUnits;
        if (unit >= kTileTokens * kUnits) break;
        const uvec4 q = x[pc.x_at + min(first_token + t, pc.n_tokens - 1) * pc.x_stride + column / 8 + c];
        const uint at = (buf * kTileTokens + t) * kPitch + 2 * c;
        x_tile[at] = f16vec4(unpackFloat2x16(q.x), unpackFloat2x16(q.y)) * float16_t(1.0 / kXDivisor);
        x_tile[at + 1] = f16vec4(unpackFloat2x16(q.z), unpackFloat2x16(q.w)) * float16_t(1.0 / kXDivisor);
    }
    [[unroll]] for (uint first = 0; first < kTileOut * kRuns; first += lanes) {
        const uint unit = first + lane, row = unit / kRuns, run = unit % kRuns;
        if (unit >= kTileOut * kRuns) break;
        vec4 v[8];
        load_run(min(first_out + row, pc.n_out - 1), column + 32 * run, v);
        const uint at = (buf * kTileOut + row) * kPitch + 8 * run;
        [[unroll]] for (uint j = 0; j < 8; ++j) w_tile[at + j] = to_half(v[j]);
    }
}

#define SUM coopmat<float, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>
#define WEIGHTS coopmat<float16_t, gl_ScopeSubgroup, kM, kK, gl_MatrixUseA>
#define ACTIVATIONS coopmat<float16_t, gl_ScopeSubgroup, kK, kN, gl_MatrixUseB>

WEIGHTS weights_at(uint buf, uint row, uint k) {
    WEIGHTS matrix;
    coopMatLoad(matrix, w_tile, (buf * kTileOut + row) * kPitch + k / 4, kPitch, gl_CooperativeMatrixLayoutRowMajor);
    return matrix;
}
ACTIVATIONS activations_at(uint buf, uint token, uint k) {
    ACTIVATIONS matrix;
    coopMatLoad(matrix, x_tile, (buf * kTileTokens + token) * kPitch + k / 4, kPitch, gl_CooperativeMatrixLayoutColumnMajor);
    return matrix;
}

void add_products(inout SUM sum[kFrags], uint buf, uint sub_out, uint sub_token) {
    [[unroll]] for (uint k = 0; k < kStep; k += kK) {
        WEIGHTS wm[kFragsOut];
        [[unroll]] for (uint o = 0; o < kFragsOut; ++o) wm[o] = weights_at(buf, sub_out + o * kM, k);
        [[unroll]] for (uint t = 0; t < kFragsTok; ++t) {
            const ACTIVATIONS xm = activations_at(buf, sub_token + t * kN, k);
            [[unroll]] for (uint o = 0; o < kFragsOut; ++o) sum[t * kFragsOut + o] = coopMatMulAdd(wm[o], xm, sum[t * kFragsOut + o]);
        }
    }
}

#ifdef HALF_SUMS
void add_products_in_halves(inout SUM sum[kFrags], uint buf, uint sub_out, uint sub_token) {
    [[unroll]] for (uint first = 0; first < kStep; first += kPeriod) {
        WEIGHTS wm[kFragsOut * (kPeriod / kK)];
        [[unroll]] for (uint k = 0; k < kPeriod / kK; ++k) {
            [[unroll]] for (uint o = 0; o < kFragsOut; ++o) wm[k * kFragsOut + o] = weights_at(buf, sub_out + o * kM, first + k * kK);
        }
        [[unroll]] for (uint t = 0; t < kFragsTok; ++t) {
            ACTIVATIONS xm[kPeriod / kK];
            [[unroll]] for (uint k = 0; k < kPeriod / kK; ++k) xm[k] = activations_at(buf, sub_token + t * kN, first + k * kK);
            [[unroll]] for (uint o = 0; o < kFragsOut; ++o) {
                coopmat<float16_t, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator> part;
                part = coopmat<float16_t, gl_ScopeSubgroup, kM, kN, gl_MatrixUseAccumulator>(0.0);
                [[unroll]] for (uint k = 0; k < kPeriod / kK; ++k) part = coopMatMulAdd(wm[k * kFragsOut + o], xm[k], part);
                sum[t * kFragsOut + o] += SUM(part);
            }
        }
    }
}

// Whether any sum of the workgroup is infinite or NaN: once it is, it stays so.
bool any_overflow(SUM sum[kFrags]) {
    SUM total = sum[0];
    [[unroll]] for (uint s = 1; s < kFrags; ++s) total += sum[s];
    bool bad = false;
    [[unroll]] for (uint i = 0; i < 32; ++i) {
        if (i < total.length()) bad = bad || (floatBitsToUint(total[i]) & 0x7F800000u) == 0x7F800000u;
    }
    if (bad) overflowed = 1;
    barrier();
    return overflowed != 0;
}
#endif

// One matrix at a time through shared memory, because only there the place of each element is known.
void write_sum(SUM sum, uint first_row, uint first_token) {
    const uint mine = gl_SubgroupID * kM * kN;
    controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
    coopMatStore(sum, stage, mine, kM, gl_CooperativeMatrixLayoutColumnMajor);
    controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
    [[dont_unroll]] for (uint e = gl_SubgroupInvocationID; e < kM * kN; e += gl_SubgroupSize) {
        const uint token = first_token + e / kM, row = first_row + e % kM;
        if (token >= pc.n_tokens || row >= pc.n_out) continue;
        float result = stage[mine + e] * kXDivisor * uintBitsToFloat(x[pc.x_at + (token + 1) * pc.x_stride - 1].x);
        if (pc.has_b != 0) result += b[pc.b_at + token * pc.b_stride + row];
        y[pc.y_at + (gl_WorkGroupID.z * pc.n_tokens + token) * pc.y_stride + row] = result;
    }
}

void main() {
    const uint first_out = gl_WorkGroupID.x * kTileOut, first_token = gl_WorkGroupID.y * kTileTokens;
    const uint sub_out = gl_SubgroupID % kSubsOut * kSubOut, sub_token = gl_SubgroupID / kSubsOut * kSubTokens;
    SUM sum[kFrags];
    const uint first_column = gl_WorkGroupID.z * pc.split_columns, end = min(first_column + pc.split_columns, pc.n_in);
#ifdef HALF_SUMS
    bool halves = true;
    if (gl_LocalInvocationID.x == 0) overflowed = 0;
    while (true) {
#endif
    [[unroll]] for (uint s = 0; s < kFrags; ++s) sum[s] = SUM(0.0);
    uint buf = 0;
    for (uint column = first_column; column < end; column += kStep) {
        if (kBuffers == 1) barrier();
        load_step(buf, first_out, first_token, column);
        barrier();
#ifdef HALF_SUMS
        if (halves) add_products_in_halves(sum, buf, sub_out, sub_token);
        else
#endif
        add_products(sum, buf, sub_out, sub_token);
        if (kBuffers == 2) buf ^= 1;
    }
#ifdef HALF_SUMS
        if (!halves || !any_overflow(sum)) break;
        halves = false;
    }
#endif

#define WRITE(f) if ((f) < kFrags) write_sum(sum[(f) < kFrags ? (f) : 0], first_out + sub_out + (f) % kFragsOut * kM, first_token + sub_token + (f) / kFragsOut * kN);
    EACH_MATRIX(WRITE)
}
