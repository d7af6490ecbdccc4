#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, i] = g / (1 + exp(-s)) * up[t, i] with g = gate[t, i].  silu: s = g.  GELU: s = 2 sqrt(2 / pi) (g + 0.044715 g^3), which is
//       0.5 g (1 + tanh(s / 2)).
// shapes: gate, up, y [rows, cols] f32.
// layout: offsets and strides in elements, see push/elementwise.h (a = gate, b = up).
// grid: x covers the columns, an invocation owns one; y is the row.
// requires: Vulkan 1.2, nothing else. y may be gate or up: an invocation reads its own element before it writes it.
// bound by: memory bandwidth (12 bytes an element).
// source: SwiGLU and GeGLU, arXiv:2002.05202.
#include "shaders/push/elementwise.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer Gate { float gate[]; };
layout(binding = 1, std430) readonly buffer Up { float up[]; };
layout(binding = 2, std430) writeonly buffer Y { float y[]; };

void main() {
    const uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
    if (i >= pc.cols) return;
    const float g = gate[pc.a_at + row * pc.a_stride + i];
#ifdef GELU
    const float s = 1.5957691216057308 * (g + 0.044715 * g * g * g);
#else
    const float s = g;
#endif
    // exp(-s) overflows to infinity for s < -88; then g / inf is the right answer, -0.
    y[pc.y_at + row * pc.y_stride + i] = g / (1.0 + exp(-s)) * up[pc.b_at + row * pc.b_stride + i];
}
