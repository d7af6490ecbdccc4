#version 460
#extension GL_GOOGLE_include_directive : require
// math: y = sum_s exp(m_s - m) a_s / (sum_s exp(m_s - m) l_s + exp(sink - m)) with m = max(max_s m_s, sink), over the parts s that the
//       attention kernels left.
// shapes: parts [n_tokens, n_head, n_splits, value_dim + 2] f32: a, then m, then l; sinks [n_head] f32; y [n_tokens, n_head * value_dim] f32.
// layout: offsets and strides in elements, see push/attention_combine.h. A part without keys has l = 0 and m = -3e38.
// grid: x: token; y: head; invocation i owns the columns i, i + size, ...
// requires: Vulkan 1.2, nothing else.
// bound by: memory bandwidth.
// source: Flash-Decoding.
#include "shaders/push/attention_combine.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer Parts { float parts[]; };
layout(binding = 1, std430) readonly buffer Sinks { float sinks[]; };
layout(binding = 2, std430) writeonly buffer Y { float y[]; };

void main() {
    const uint token = gl_WorkGroupID.x, head = gl_WorkGroupID.y, pitch = pc.value_dim + 2;
    const uint at = pc.part_at + (token * pc.n_head + head) * pc.n_splits * pitch;
    float maximum = -3.0e38, total = 0.0;
    if (pc.has_sinks != 0) maximum = sinks[pc.sinks_at + head];
    const float sink = maximum;
    for (uint s = 0; s < pc.n_splits; ++s) maximum = max(maximum, parts[at + s * pitch + pc.value_dim]);
    if (pc.has_sinks != 0) total = exp(sink - maximum);
    for (uint s = 0; s < pc.n_splits; ++s) {
        total += exp(parts[at + s * pitch + pc.value_dim] - maximum) * parts[at + s * pitch + pc.value_dim + 1];
    }
    for (uint i = gl_LocalInvocationID.x; i < pc.value_dim; i += gl_WorkGroupSize.x) {
        float sum = 0.0;
        for (uint s = 0; s < pc.n_splits; ++s) {
            sum += exp(parts[at + s * pitch + pc.value_dim] - maximum) * parts[at + s * pitch + i];
        }
        y[pc.y_at + token * pc.y_stride + head * pc.value_dim + i] = sum / total;
    }
}
