#version 460
#extension GL_GOOGLE_include_directive : require
// math: xor of all words of a buffer; out is written only if it equals a number that is not there.
// shapes: data [n] uvec4.
// layout: pc.n in units of 16 bytes.
// grid: invocations stride over the buffer together, neighbours read neighbours.
// requires: Vulkan 1.2, nothing else.
// bound by: memory bandwidth, by design: what a kernel can read at most.
// source: bench/limits.h.
#include "shaders/push/bench_peak.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer Data { uvec4 data[]; };
layout(binding = 1, std430) buffer Out { uint result[]; };

void main() {
    const uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    uvec4 a = uvec4(0), b = uvec4(0), c = uvec4(0), d = uvec4(0);
    uint i = gl_GlobalInvocationID.x;
    for (; i + 3 * stride < pc.n; i += 4 * stride) {
        a ^= data[i];
        b ^= data[i + stride];
        c ^= data[i + 2 * stride];
        d ^= data[i + 3 * stride];
    }
    for (; i < pc.n; i += stride) a ^= data[i];
    a ^= b ^ c ^ d;
    if ((a.x ^ a.y ^ a.z ^ a.w) == 0x9e3779b9u) result[0] = 1;
}
