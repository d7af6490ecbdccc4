#version 460
#extension GL_GOOGLE_include_directive : require
// math: scale: y[t, i] = f x[t, i], or cap * tanh(f x[t, i] / cap) where cap > 0.  scale_by_position (BY_POSITION):
//       y[t, i] = x[t, i] * (1 + beta * ln(1 + floor(positions[t] / n_ctx))).
// shapes: x, y [rows, cols] f32; positions [rows].
// layout: offsets and strides in elements, see push/scale.h.
// grid: x covers the columns, an invocation owns one; y is the row.
// requires: Vulkan 1.2, nothing else. y may be x: an invocation reads its own element before it writes it.
// bound by: memory bandwidth (8 bytes an element).
// source: soft caps, arXiv:2408.00118; runtime/ops/ops.h.
#include "shaders/push/scale.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer X { float x[]; };
layout(binding = 1, std430) writeonly buffer Y { float y[]; };
#ifdef BY_POSITION
layout(binding = 2, std430) readonly buffer Positions { uint positions[]; };
#else

// GLSL's tanh may lose small arguments to cancellation and may be not-a-number for large ones.
float exact_tanh(float z) {
    const float z2 = z * z;
    if (z2 < 0.02) return z * (1.0 + z2 * (-1.0 / 3.0 + z2 * (2.0 / 15.0 + z2 * (-17.0 / 315.0))));
    const float e = exp(-2.0 * abs(z));
    return sign(z) * (1.0 - e) / (1.0 + e);
}
#endif

void main() {
    const uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
    if (i >= pc.cols) return;
    const float value = x[pc.x_at + row * pc.x_stride + i];
#ifdef BY_POSITION
    const float periods = float(positions[pc.positions_at + row] / pc.n_ctx);
    y[pc.y_at + row * pc.y_stride + i] = value * (1.0 + pc.factor * log(1.0 + periods));
#else
    const float scaled = pc.factor * value;
    y[pc.y_at + row * pc.y_stride + i] = pc.cap > 0.0 ? pc.cap * exact_tanh(scaled / pc.cap) : scaled;
#endif
}
