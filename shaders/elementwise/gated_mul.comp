#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, i] = f(g) * u with g = gate[t, i / gate_repeat], u = up[t, i], or u = 1 without HAS_UP.  f: ACTIVATION, see
//       common/activation.glsl.
// shapes: up, y [rows, cols]; gate [rows, cols / gate_repeat]; f32.
// layout: offsets and strides in elements, see push/gated_mul.h.
// grid: x covers the columns, an invocation owns one; y is the row.
// requires: Vulkan 1.2, nothing else. y may be up, or a gate of its shape: an invocation reads its own element before it writes it.
// bound by: memory bandwidth (12 bytes an element).
// source: SwiGLU and GeGLU, arXiv:2002.05202; squared ReLU, arXiv:2109.08668.
#include "common/activation.glsl"
#include "shaders/push/gated_mul.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint ACTIVATION = 0;
layout(constant_id = 2) const bool HAS_UP = true;
layout(binding = 0, std430) readonly buffer Gate { float gate[]; };
layout(binding = 1, std430) readonly buffer Up { float up[]; };
layout(binding = 2, std430) writeonly buffer Y { float y[]; };

void main() {
    const uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
    if (i >= pc.cols) return;
    float u = 1.0;
    if (HAS_UP) u = gate_factor(ACTIVATION, up[pc.up_at + row * pc.up_stride + i]);
    y[pc.y_at + row * pc.y_stride + i] = activated(ACTIVATION, gate[pc.gate_at + row * pc.gate_stride + i / pc.gate_repeat]) * u;
}
