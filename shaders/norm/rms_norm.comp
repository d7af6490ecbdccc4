#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, i] = s[t, i] * gain[i] / sqrt(mean_i(s[t, i]^2) + eps).  rms_norm: s = x.  add_rms_norm (WITH_ADD): s = x + b, written to sum.
// shapes: x, y, sum [rows, cols]; b [rows, cols] or [1, cols] (b_stride 0); gain [cols], or without HAS_GAIN none; f32.
// layout: offsets and strides in elements, see push/rms_norm.h.
// grid: a workgroup owns a row; invocation i owns the columns i, i + size, ...  In y: the heads of a row, which lie side by side (rms_norm_heads).
// requires: Vulkan 1.2; local size a power of two, at most 256. y may be x, sum may be x or b: a column is read and written by its owner alone.
// bound by: memory bandwidth (the second read of the row comes from cache).
// source: RMSNorm, arXiv:1910.07467.
#include "shaders/push/rms_norm.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const bool HAS_GAIN = true;
layout(binding = 0, std430) readonly buffer X { float x[]; };
layout(binding = 1, std430) readonly buffer Gain { float gain[]; };
layout(binding = 2, std430) writeonly buffer Y { float y[]; };
#ifdef WITH_ADD
layout(binding = 3, std430) readonly buffer B { float b[]; };
layout(binding = 4, std430) buffer Sum { float sum[]; };
#endif

shared float partial[256];

void main() {
    const uint row = gl_WorkGroupID.x, lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    const uint head_at = gl_WorkGroupID.y * pc.cols;
    const uint x_row = pc.x_at + row * pc.x_stride + head_at;
#ifdef WITH_ADD
    const uint b_row = pc.b_at + row * pc.b_stride, sum_row = pc.sum_at + row * pc.sum_stride;
#endif
    float squares = 0.0;
    for (uint i = lane; i < pc.cols; i += lanes) {
#ifdef WITH_ADD
        const float s = x[x_row + i] + b[b_row + i];
        sum[sum_row + i] = s;
#else
        const float s = x[x_row + i];
#endif
        squares += s * s;
    }
    partial[lane] = squares;
    for (uint half_lanes = lanes / 2; half_lanes > 0; half_lanes /= 2) {
        barrier();
        if (lane < half_lanes) partial[lane] += partial[lane + half_lanes];
    }
    barrier();
    const float factor = 1.0 / sqrt(partial[0] / float(pc.cols) + pc.eps);
    const uint y_row = pc.y_at + row * pc.y_stride + head_at;
    for (uint i = lane; i < pc.cols; i += lanes) {
#ifdef WITH_ADD
        const float s = sum[sum_row + i];
#else
        const float s = x[x_row + i];
#endif
        y[y_row + i] = HAS_GAIN ? s * factor * gain[pc.gain_at + i] : s * factor;
    }
}
