#version 460
#extension GL_GOOGLE_include_directive : require
// math: sixteen chains of a = a * b + b in registers, pc.n rounds: 16 * 2 operations a round.
// shapes: none.
// layout: none.
// grid: every invocation does the same.
// requires: Vulkan 1.2, nothing else.
// bound by: f32 arithmetic, by design.
// source: bench/limits.h.
#include "shaders/push/bench_peak.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer Data { uint unused[]; };
layout(binding = 1, std430) buffer Out { uint result[]; };

void main() {
    const float start = float(gl_GlobalInvocationID.x) * 1e-9;
    const vec4 b = vec4(0.999, 0.998, 0.997, 0.996) + float(pc.zero);
    vec4 a0 = vec4(start), a1 = vec4(start + 1.0), a2 = vec4(start + 2.0), a3 = vec4(start + 3.0);
    for (uint i = 0; i < pc.n; ++i) {
        a0 = fma(a0, b, b);
        a1 = fma(a1, b, b);
        a2 = fma(a2, b, b);
        a3 = fma(a3, b, b);
    }
    a0 += a1 + a2 + a3;
    if (a0.x + a0.y + a0.z + a0.w == -1.0) result[0] = 1;
}
