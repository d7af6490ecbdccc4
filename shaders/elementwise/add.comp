#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, i] = a[t, i] + b[t, i], or + b[0, i] for every t when b_stride is 0 (a bias).
// shapes: a, y [rows, cols]; b [rows, cols] or [1, cols]; f32.
// layout: offsets and strides in elements, see push/elementwise.h.
// grid: x covers the columns, an invocation owns one; y is the row.
// requires: Vulkan 1.2, nothing else. y may be a or b: an invocation reads its own element before it writes it.
// bound by: memory bandwidth (12 bytes an element).
// source: runtime/ops/ops.h, add.
#include "shaders/push/elementwise.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer A { float a[]; };
layout(binding = 1, std430) readonly buffer B { float b[]; };
layout(binding = 2, std430) writeonly buffer Y { float y[]; };

void main() {
    const uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
    if (i >= pc.cols) return;
    y[pc.y_at + row * pc.y_stride + i] = a[pc.a_at + row * pc.a_stride + i] + b[pc.b_at + row * pc.b_stride + i];
}
