#version 460
#extension GL_GOOGLE_include_directive : require
// math: x[t, e] ~ scale[t, run] * code[t, e], see push/quantize_x.h.
// shapes: x [n_tokens, n_in] f32; q: [n_tokens, n_in] bytes, then [n_tokens, n_in / 32] pairs of words.
// layout: x offsets in elements; q as push/quantize_x.h says.
// grid: y: a token each; x: a run of 32 elements per kLanesPerRun invocations, 8 (each reads 4 elements, neighbours read neighbours;
//       the maximum goes through shared memory) or 1 (for CPUs, where a barrier is expensive).
// requires: Vulkan 1.2; kLanesPerRun divides the local size.
// bound by: memory bandwidth of x.
// source: push/quantize_x.h.
#include "shaders/push/quantize_x.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kLanesPerRun = 8;

layout(binding = 0, std430) readonly buffer X { float x[]; };
layout(binding = 1, std430) writeonly buffer Q { uint q[]; };

const uint kWords = 8 / kLanesPerRun;  // of an invocation, four elements each
const float kSmallest = 7.888609e-31;  // 2^-100: below, 127 / max would not be a float everywhere

shared float lane_max[gl_WorkGroupSize.x];
shared int lane_sum[gl_WorkGroupSize.x];

void main() {
    const uint lane = gl_LocalInvocationID.x % kLanesPerRun;
    const uint n_runs = pc.n_in / 32;
    const uint wanted_run = gl_WorkGroupID.x * (gl_WorkGroupSize.x / kLanesPerRun) + gl_LocalInvocationID.x / kLanesPerRun;
    const uint run = min(wanted_run, n_runs - 1);  // past the end: repeats the last run, writes nothing
    const uint token = gl_WorkGroupID.y;

    vec4 v[kWords];
    float most = 0.0;
    const uint at = pc.x_at + token * pc.x_stride + run * 32 + lane * kWords * 4;
    for (uint j = 0; j < kWords; ++j) {
        v[j] = vec4(x[at + 4 * j], x[at + 4 * j + 1], x[at + 4 * j + 2], x[at + 4 * j + 3]);
        const vec4 a = abs(v[j]);
        most = max(most, max(max(a.x, a.y), max(a.z, a.w)));
    }
    const uint first_lane = gl_LocalInvocationID.x - lane;
    if (kLanesPerRun > 1) {
        lane_max[gl_LocalInvocationID.x] = most;
        barrier();
        for (uint l = 0; l < kLanesPerRun; ++l) most = max(most, lane_max[first_lane + l]);
    }
    const bool silent = most < kSmallest;
    const float to_code = silent ? 0.0 : 127.0 / most;

    const uint row_run = token * n_runs + run;
    int sums[2] = {0, 0};
    for (uint j = 0; j < kWords; ++j) {
        const ivec4 code = ivec4(clamp(roundEven(v[j] * to_code), -127.0, 127.0));
        sums[kLanesPerRun == 1 ? j / 4 : 0] += code.x + code.y + code.z + code.w;
        const uint word = uint(code.x & 255) | (uint(code.y & 255) << 8) | (uint(code.z & 255) << 16) | (uint(code.w) << 24);
        if (wanted_run < n_runs) q[row_run * 8 + lane * kWords + j] = word;
    }
    if (kLanesPerRun > 1) {
        lane_sum[gl_LocalInvocationID.x] = sums[0];
        barrier();
        if (lane != 0) return;
        sums[0] = 0;
        for (uint l = 0; l < kLanesPerRun; ++l) sums[l / (kLanesPerRun / 2)] += lane_sum[first_lane + l];
    }
    if (wanted_run >= n_runs) return;
    const uint scale_at = pc.n_tokens * n_runs * 8 + row_run * 2;
    q[scale_at] = floatBitsToUint(silent ? 0.0 : most * (1.0 / 127.0));
    q[scale_at + 1] = uint(sums[0] & 0xFFFF) | (uint(sums[1]) << 16);
}
