#version 460
#extension GL_GOOGLE_include_directive : require
// math: y[t, i] = (x[t, i] - m) * gain[i] / sqrt(mean_i((x[t, i] - m)^2) + eps) + bias[i], m = mean_i(x[t, i]); a row may hold several runs
//       that are normed each for itself, with gains of their own.
// shapes: x, y [rows, runs * cols]; gain [runs, cols]; bias [cols] (one run) or none; f32.
// layout: offsets and strides in elements, see push/layer_norm.h.
// grid: a workgroup owns a run: x is the row, y the run; invocation i owns the columns i, i + size, ...
// requires: Vulkan 1.2; local size a power of two, at most 256. y may be x: a column is read and written by its owner alone.
// bound by: memory bandwidth (the second and third read of the row come from cache).
// source: layer normalization, arXiv:1607.06450.
#include "shaders/push/layer_norm.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer X { float x[]; };
layout(binding = 1, std430) readonly buffer Gain { float gain[]; };
layout(binding = 2, std430) readonly buffer Bias { float bias[]; };
layout(binding = 3, std430) writeonly buffer Y { float y[]; };

shared float partial[256];

// The sum of every invocation's value.
float sum_of_all(float value) {
    const uint lane = gl_LocalInvocationID.x;
    barrier();  // the last sum was read
    partial[lane] = value;
    for (uint half_lanes = gl_WorkGroupSize.x / 2; half_lanes > 0; half_lanes /= 2) {
        barrier();
        if (lane < half_lanes) partial[lane] += partial[lane + half_lanes];
    }
    barrier();
    return partial[0];
}

void main() {
    const uint row = gl_WorkGroupID.x, run = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    const uint x_at = pc.x_at + row * pc.x_stride + run * pc.cols, y_at = pc.y_at + row * pc.y_stride + run * pc.cols;
    const uint gain_at = pc.gain_at + run * pc.gain_stride;
    float sum = 0.0;
    for (uint i = lane; i < pc.cols; i += lanes) sum += x[x_at + i];
    const float mean = sum_of_all(sum) / float(pc.cols);
    float squares = 0.0;
    for (uint i = lane; i < pc.cols; i += lanes) {
        const float d = x[x_at + i] - mean;
        squares += d * d;
    }
    const float factor = 1.0 / sqrt(sum_of_all(squares) / float(pc.cols) + pc.eps);
    for (uint i = lane; i < pc.cols; i += lanes) {
        const float normed = (x[x_at + i] - mean) * factor * gain[gain_at + i];
        y[y_at + i] = pc.has_bias != 0 ? normed + bias[pc.bias_at + i] : normed;
    }
}
