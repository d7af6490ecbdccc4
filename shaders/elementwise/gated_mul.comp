#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, i] = f(g) * u with g = gate[t, i / gate_repeat], u = up[t, i], or u = 1 without HAS_UP.  f: ACTIVATION, in the order of
//       Activation (runtime/ops/ops.h).  silu and GELU: g / (1 + exp(-s)), s = g or 2 sqrt(2 / pi) (g + 0.044715 g^3), which is
//       0.5 g (1 + tanh(s / 2)).
// shapes: up, y [rows, cols]; gate [rows, cols / gate_repeat]; f32.
// layout: offsets and strides in elements, see push/gated_mul.h.
// grid: x covers the columns, an invocation owns one; y is the row.
// requires: Vulkan 1.2, nothing else. y may be up, or a gate of its shape: an invocation reads its own element before it writes it.
// bound by: memory bandwidth (12 bytes an element).
// source: SwiGLU and GeGLU, arXiv:2002.05202; squared ReLU, arXiv:2109.08668.
#include "shaders/push/gated_mul.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint ACTIVATION = 0;
layout(constant_id = 2) const bool HAS_UP = true;
layout(binding = 0, std430) readonly buffer Gate { float gate[]; };
layout(binding = 1, std430) readonly buffer Up { float up[]; };
layout(binding = 2, std430) writeonly buffer Y { float y[]; };

// exp(-s) overflows to infinity for s < -88; then the quotient is the right answer, 0 or -0.
float over_one_plus_exp(float numerator, float s) { return numerator / (1.0 + exp(-s)); }

// ln(1 + exp(g)) without losing a small exp(g) beside 1: log(z) is off by the rounding of z = 1 + e, which the second term makes good.
float softplus(float g) {
    const float e = exp(-abs(g));
    precise const float z = 1.0 + e;
    precise const float lost = e - (z - 1.0);
    return max(g, 0.0) + (log(z) + lost / z);
}

float activated(float g) {
    switch (ACTIVATION) {
        case 0: return over_one_plus_exp(g, g);
        case 1: return over_one_plus_exp(g, 1.5957691216057308 * (g + 0.044715 * g * g * g));
        case 2: return max(g, 0.0) * max(g, 0.0);
        case 3: return over_one_plus_exp(1.0, g);
        case 4: return softplus(g);
        default: return over_one_plus_exp(min(g, 7.0), 1.702 * min(g, 7.0));
    }
}

void main() {
    const uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
    if (i >= pc.cols) return;
    float u = 1.0;
    if (HAS_UP) {
        u = up[pc.up_at + row * pc.up_stride + i];
        if (ACTIVATION == 5) u = clamp(u, -7.0, 7.0) + 1.0;
    }
    y[pc.y_at + row * pc.y_stride + i] = activated(gate[pc.gate_at + row * pc.gate_stride + i / pc.gate_repeat]) * u;
}
