#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_EXT_buffer_reference : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_EXT_control_flow_attributes : require
#pragma use_vulkan_memory_model
// math: as attention_coopmat.comp, with matrices of a whole workgroup: S, the maxima and the sums stay in them; no rounding of S, no slack.
// shapes, layout: as attention_rows.comp.
// grid: x: block of kRows rows; y: KV head; z: part of the keys. Q, K and V are read by functions that the loads call for every element: they
//       know pages, formats and the order of rows. Only the cache rows of a tile and what each row sees lie in shared memory.
// requires: VK_NV_cooperative_matrix2 with workgroup scope, flexible dimensions, reductions, conversions, per-element operations, tensor
//           addressing and block loads, for kRows x kKeys x 32 and a workgroup of this size; bufferDeviceAddress for the loads' functions.
// bound by: matrix products.
// source: online softmax, arXiv:1805.02867; FlashAttention-2, arXiv:2307.08691; the extension's specification.
#include "attention/attention_common.glsl"

layout(constant_id = 8) const uint kKeys = 64;
layout(constant_id = 9) const uint kSubgroup = 32;

const uint kHeadPad = (kHeadDim + 31) / 32 * 32, kValuePad = (kValueDim + 31) / 32 * 32;  // columns past the head are zeros
const uint kNoRow = 0xFFFFFFFFu;
const float kLog2e = 1.44269504088896341, kLn2 = 0.693147180559945309;

#define SCORES coopmat<float, gl_ScopeWorkgroup, kRows, kKeys, gl_MatrixUseAccumulator>
#define SUMS coopmat<float, gl_ScopeWorkgroup, kRows, kValuePad, gl_MatrixUseAccumulator>

shared float row_scale[kRows];
shared uvec2 row_seen[kRows];
shared uint row_of[kKeys];  // cache rows of the tile's keys

#include "attention/attention_walk.glsl"

uint first_row, head_kv, split;

// The block type that the load functions get: one element of whatever is bound. They only use its coordinates.
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Element { uint bits; };

float16_t half_of(float x) { return float16_t(clamp(x, -65504.0, 65504.0)); }

float16_t q_element(const in Element unused, const in uint at[2], const in uint inside[2]) {
    const uint index = first_row + at[0], token = index / kGroup;
    if (token >= pc.n_tokens || at[1] >= kHeadDim) return float16_t(0.0);
    return half_of(q[pc.q_at + token * pc.q_stride + (head_kv * kGroup + index % kGroup) * kHeadDim + at[1]] / row_scale[at[0]]);
}

// Transposed: a row is a column of the head.
float16_t k_element(const in Element unused, const in uint at[2], const in uint inside[2]) {
    const uint row = row_of[at[1]], col = at[0];
    if (row == kNoRow || col >= kHeadDim) return float16_t(0.0);
    vec4 v[2];
    k_load8(pc.k_at + row * pc.k_stride, head_kv * kHeadDim + (col & ~7u), v);
    return half_of(v[(col >> 2) & 1][col & 3]);
}

float16_t v_element(const in Element unused, const in uint at[2], const in uint inside[2]) {
    const uint row = row_of[at[0]], col = at[1];
    if (row == kNoRow || col >= kValueDim) return float16_t(0.0);
    vec4 v[2];
    v_load8(pc.v_at + row * pc.v_stride, head_kv * kValueDim + (col & ~7u), v);
    return half_of(v[(col >> 2) & 1][col & 3]);
}

float larger(const in float a, const in float b) { return max(a, b); }
float added(const in float a, const in float b) { return a + b; }
float first_of(const in float a, const in float b) { return a; }

// Of an element of S, in powers of two.
float masked_score(const in uint row, const in uint col, const in float s, const in uint first_key) {
    const uint key = first_key + col;
    if (key < row_seen[row].x || key >= row_seen[row].y) return kNoScore;
    const float score = s * row_scale[row] * pc.scale;
    return (pc.softcap == 0.0 ? score : soft_capped(score)) * kLog2e;
}
float larger_of(const in uint row, const in uint col, const in float a, const in float b) { return max(a, b); }
// Rows that have seen no key yet have the maximum kNoScore; their weights are 0.
float weight_of(const in uint row, const in uint col, const in float score, const in float maximum) {
    return exp2(score - max(maximum, -1.0e38));
}
float power_of(const in uint row, const in uint col, const in float before, const in float now) { return exp2(before - now); }

float store_maximum(const in uint row, const in uint col, const in float maximum) {
    const uint index = first_row + row, token = index / kGroup;
    if (col == 0 && token < pc.n_tokens) {
        result[result_at(token, head_kv * kGroup + index % kGroup, split) + kValueDim] = maximum == kNoScore ? kNoScore : maximum * kLn2;
    }
    return maximum;
}
float store_total(const in uint row, const in uint col, const in float total) {
    const uint index = first_row + row, token = index / kGroup;
    if (col == 0 && token < pc.n_tokens) result[result_at(token, head_kv * kGroup + index % kGroup, split) + kValueDim + 1] = total;
    return total;
}
// 1 / (total + the sink's weight), in terms of the row's maximum.
float reciprocal(const in uint row, const in uint col, const in float total, const in float maximum) {
    if (pc.n_splits != 1) return 1.0;
    if (pc.has_sinks == 0) return 1.0 / total;
    const float sink = sinks[pc.sinks_at + head_kv * kGroup + (first_row + row) % kGroup] * kLog2e, highest = max(maximum, sink);
    const float factor = exp2(maximum - highest);
    return factor / (total * factor + exp2(sink - highest));
}
float store_sum(const in uint row, const in uint col, const in float sum) {
    const uint index = first_row + row, token = index / kGroup;
    if (token < pc.n_tokens && col < kValueDim) result[result_at(token, head_kv * kGroup + index % kGroup, split) + col] = sum;
    return sum;
}

// The power of two that a row of Q is divided by.
void measure_q() {
    for (uint r = gl_SubgroupID; r < kRows; r += gl_NumSubgroups) {
        const uint index = first_row + r, token = index / kGroup;
        float largest = 0.0;
        for (uint i = gl_SubgroupInvocationID; token < pc.n_tokens && i < kHeadDim; i += kSubgroup) {
            largest = max(largest, abs(q[pc.q_at + token * pc.q_stride + (head_kv * kGroup + index % kGroup) * kHeadDim + i]));
        }
        const uint exponent = clamp(floatBitsToUint(subgroupMax(largest)) >> 23, 1u, 253u);
        if (subgroupElect()) row_scale[r] = uintBitsToFloat(exponent << 23);
    }
}

// The cache rows of the tile's keys and what each row of the block sees of this run.
void fill_tile() {
    for (uint i = gl_LocalInvocationIndex; i < kKeys; i += gl_WorkGroupSize.x) {
        const uint key = tile + i;
        row_of[i] = key >= key_begin && key < key_end ? min(cache_row(run_pages, key), pc.n_cache_rows - 1) : kNoRow;
    }
    for (uint r = gl_LocalInvocationIndex; r < kRows; r += gl_WorkGroupSize.x) {
        const uint token = (first_row + r) / kGroup;
        row_seen[r] = seen_in_run(token, keys_of(min(token, pc.n_tokens - 1)));
    }
}

void main() {
    first_row = gl_WorkGroupID.x * kRows;
    head_kv = gl_WorkGroupID.y;
    split = pc.first_split + gl_WorkGroupID.z;
    measure_q();
    barrier();

    tensorLayoutNV<2> q_layout = setTensorLayoutDimensionNV(createTensorLayoutNV(2), kRows, kHeadPad);
    tensorLayoutNV<2> k_layout = setTensorLayoutDimensionNV(createTensorLayoutNV(2), kHeadPad, kKeys);
    tensorLayoutNV<2> v_layout = setTensorLayoutDimensionNV(createTensorLayoutNV(2), kKeys, kValuePad);
    coopmat<float16_t, gl_ScopeWorkgroup, kRows, kHeadPad, gl_MatrixUseA> queries;
    coopMatLoadTensorNV(queries, q, 0, sliceTensorLayoutNV(q_layout, 0, kRows, 0, kHeadPad), q_element);

    SCORES maximum = SCORES(kNoScore), total = SCORES(0.0);  // the same in all columns
    SUMS sum = SUMS(0.0);
    begin_walk(first_row / kGroup, min((first_row + kRows - 1) / kGroup, pc.n_tokens - 1));
    for (bool more = next_run(); more; more = next_tile()) {
        barrier();
        fill_tile();
        barrier();
        coopmat<float16_t, gl_ScopeWorkgroup, kHeadPad, kKeys, gl_MatrixUseB> keys;
        coopMatLoadTensorNV(keys, k_words, 0, sliceTensorLayoutNV(k_layout, 0, kHeadPad, 0, kKeys), k_element);
        SCORES score = coopMatMulAdd(queries, keys, SCORES(0.0));
        coopMatPerElementNV(score, score, masked_score, tile);

        SCORES highest, rescale, weight, weights_sum;
        coopMatReduceNV(highest, score, gl_CooperativeMatrixReduceRowNV, larger);
        coopMatPerElementNV(highest, highest, larger_of, maximum);
        coopMatPerElementNV(rescale, maximum, power_of, highest);
        coopMatPerElementNV(weight, score, weight_of, highest);
        coopMatReduceNV(weights_sum, weight, gl_CooperativeMatrixReduceRowNV, added);
        total = total * rescale + weights_sum;
        maximum = highest;

        coopmat<float16_t, gl_ScopeWorkgroup, kKeys, kValuePad, gl_MatrixUseB> values;
        coopMatLoadTensorNV(values, v_words, 0, sliceTensorLayoutNV(v_layout, 0, kKeys, 0, kValuePad), v_element);
        SUMS factor;
        coopMatReduceNV(factor, rescale, gl_CooperativeMatrixReduceRowNV, first_of);
        sum = coopMatMulAdd(coopmat<float16_t, gl_ScopeWorkgroup, kRows, kKeys, gl_MatrixUseA>(weight), values, sum * factor);
    }

    SCORES inverse;
    coopMatPerElementNV(inverse, total, reciprocal, maximum);
    SUMS factor;
    coopMatReduceNV(factor, inverse, gl_CooperativeMatrixReduceRowNV, first_of);
    sum = sum * factor;
    coopMatPerElementNV(sum, sum, store_sum);
    if (pc.n_splits == 1) return;
    coopMatPerElementNV(maximum, maximum, store_maximum);
    coopMatPerElementNV(total, total, store_total);
}
