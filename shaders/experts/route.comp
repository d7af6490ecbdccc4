#version 460
#extension GL_GOOGLE_include_directive : require
// math: p = gating(logits); the n_used experts with the largest p + bias, of equal ones the first; their weights, see RoutingParams.
// shapes: logits [n_tokens, n_experts], bias [n_experts], routes [n_tokens, 2 n_used] f32.
// layout: in elements, see push/route.h.
// grid: a workgroup owns a token; invocation i owns the experts i, i + size, ... The place of an expert in the order is the number of those that
//       come before it, which every invocation counts for its own: no rounds that wait for one another.
// requires: Vulkan 1.2; local size a power of two, at most 256; at most 512 experts, 32 of them used.
// bound by: the latency of n_experts / size * n_experts comparisons.
// source: runtime/ops/experts.h, RoutingParams; groups: DeepSeek-V3, arXiv:2412.19437.
#include "common/activation.glsl"
#include "shaders/push/route.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kGating = 0;
layout(binding = 0, std430) readonly buffer Logits { float logits[]; };
layout(binding = 1, std430) readonly buffer Bias { float bias[]; };
layout(binding = 2, std430) writeonly buffer Routes { float routes[]; };

const uint kSoftmax = 0, kSigmoid = 1, kSoftmaxOfUsed = 2, kSqrtSoftplus = 3;  // RoutingParams::Gating
const uint kMostExperts = 512, kMostUsed = 32;
const float kLeast = uintBitsToFloat(0xFF800000u);  // minus infinity
shared float p[kMostExperts];
shared float score[kMostExperts];  // what experts are chosen by
shared float group_score[kMostExperts];
shared float weight[kMostUsed];
shared float partial[256];

float all_max(float mine) {
    const uint lane = gl_LocalInvocationID.x;
    barrier();
    partial[lane] = mine;
    for (uint half_lanes = gl_WorkGroupSize.x / 2; half_lanes > 0; half_lanes /= 2) {
        barrier();
        if (lane < half_lanes) partial[lane] = max(partial[lane], partial[lane + half_lanes]);
    }
    barrier();
    return partial[0];
}

float all_sum(float mine) {
    const uint lane = gl_LocalInvocationID.x;
    barrier();
    partial[lane] = mine;
    for (uint half_lanes = gl_WorkGroupSize.x / 2; half_lanes > 0; half_lanes /= 2) {
        barrier();
        if (lane < half_lanes) partial[lane] += partial[lane + half_lanes];
    }
    barrier();
    return partial[0];
}

// p and score of the own experts.
void rate(uint logits_row) {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    float largest = kLeast, sum = 0.0;
    if (kGating == kSoftmax) {
        for (uint e = lane; e < pc.n_experts; e += lanes) largest = max(largest, logits[logits_row + e]);
        largest = all_max(largest);
        for (uint e = lane; e < pc.n_experts; e += lanes) sum += exp(logits[logits_row + e] - largest);
        sum = all_sum(sum);
    }
    for (uint e = lane; e < pc.n_experts; e += lanes) {
        float v = logits[logits_row + e];
        if (kGating == kSoftmax) v = exp(v - largest) / sum;
        if (kGating == kSigmoid) v = 1.0 / (1.0 + exp(-v));
        if (kGating == kSqrtSoftplus) v = sqrt(softplus(v));
        p[e] = v;
        if (pc.has_bias != 0) v += bias[pc.bias_at + e];
        score[e] = isnan(v) ? kLeast : v;  // the order must be one: every place has an expert
    }
    barrier();
}

// Experts of groups that are not looked at come last.
void drop_groups() {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x, size = pc.n_experts / pc.n_groups;
    for (uint g = lane; g < pc.n_groups; g += lanes) {
        float first = kLeast, second = kLeast;
        for (uint e = g * size; e < (g + 1) * size; ++e) {
            second = max(second, min(first, score[e]));
            first = max(first, score[e]);
        }
        group_score[g] = size > 1 ? first + second : first;
    }
    barrier();
    for (uint e = lane; e < pc.n_experts; e += lanes) {
        const uint own = e / size;
        uint before = 0;
        for (uint g = 0; g < pc.n_groups; ++g) {
            if (group_score[g] > group_score[own] || (group_score[g] == group_score[own] && g < own)) ++before;
        }
        if (before >= pc.n_groups_used) score[e] = kLeast;
    }
    barrier();
}

void main() {
    const uint lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    const uint row = pc.routes_at + gl_WorkGroupID.x * pc.routes_stride;
    rate(pc.logits_at + gl_WorkGroupID.x * pc.logits_stride);
    if (pc.n_groups > 1) drop_groups();
    for (uint e = lane; e < pc.n_experts; e += lanes) {
        const float own = score[e];
        uint before = 0;
        for (uint other = 0; other < pc.n_experts; ++other) {
            if (score[other] > own || (score[other] == own && other < e)) ++before;
        }
        if (before >= pc.n_used) continue;
        routes[row + before] = float(e);
        weight[before] = p[e];
    }
    barrier();
    for (uint j = lane; j < pc.n_used; j += lanes) {
        float largest = kLeast, sum = 0.0, mine = weight[j];
        for (uint i = 0; i < pc.n_used; ++i) largest = max(largest, weight[i]);
        for (uint i = 0; i < pc.n_used; ++i) sum += kGating == kSoftmaxOfUsed ? exp(weight[i] - largest) : weight[i];
        if (kGating == kSoftmaxOfUsed) {
            mine = exp(mine - largest) / sum;
            sum = 1.0;
        }
        if (pc.normalized != 0) mine /= max(sum, 6.1035e-5);
        routes[row + pc.n_used + j] = mine * pc.scale;
    }
}
