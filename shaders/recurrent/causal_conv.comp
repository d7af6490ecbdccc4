#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: y[t, c] = f(sum_j w[c, j] * u[j] + b[c]), u being the last kWidth inputs of the token's sequence; f: silu, or nothing.
// shapes: x, y [n_tokens, n]; w [n, kWidth]; b [n] or none; states [slots, (kWidth - 1) * n], oldest first; f32. positions, seqs, after
//         [n_tokens], before [sequences] u32.
// layout: offsets and strides in elements, see push/causal_conv.h.
// grid: x covers the columns, an invocation owns one; y is the token.
// requires: Vulkan 1.2, nothing else. No row of the states is both read and written.
// bound by: memory bandwidth (8 bytes an element; the inputs before come from cache).
// source: runtime/ops/ops.h, causal_conv.
#include "shaders/push/causal_conv.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kWidth = 4;
layout(binding = 0, std430) restrict readonly buffer X { float x[]; };
layout(binding = 1, std430) restrict readonly buffer W { float w[]; };
layout(binding = 2, std430) readonly buffer B { float b[]; };
layout(binding = 3, std430) buffer States { float states[]; };
layout(binding = 4, std430) readonly buffer Positions { uint positions[]; };
layout(binding = 5, std430) readonly buffer Seqs { uint seqs[]; };
layout(binding = 6, std430) readonly buffer Before { uint before[]; };
layout(binding = 7, std430) readonly buffer After { uint after[]; };
layout(binding = 8, std430) restrict writeonly buffer Y { float y[]; };

const uint kNoState = 0xFFFFFFFFu;

// From token t to the one before in its sequence that it does not repeat; false: it lies before the step.
bool step_back(inout uint t) {
    while (t > 0u && seqs[pc.seqs_at + t - 1u] == seqs[pc.seqs_at + t]) {
        --t;
        if (positions[pc.positions_at + t] != positions[pc.positions_at + t + 1u]) return true;
    }
    return false;
}

void main() {
    const uint c = gl_GlobalInvocationID.x, token = pc.first_token + gl_WorkGroupID.y;
    if (c >= pc.n) return;

    float u[kWidth];
    const uint state_row = pc.states_at + before[pc.before_at + seqs[pc.seqs_at + token]] * pc.states_stride + c;
    uint t = token, n_older = kWidth - 1u;  // inputs of the state that are not taken yet
    bool in_step = true;
    [[unroll]] for (uint back = 0u; back < kWidth; ++back) {
        if (in_step) {
            u[kWidth - 1u - back] = x[pc.x_at + t * pc.x_stride + c];
            in_step = step_back(t);
        } else {
            --n_older;
            u[kWidth - 1u - back] = states[state_row + n_older * pc.n];
        }
    }

    float sum = pc.has_b != 0u ? b[pc.b_at + c] : 0.0;
    [[unroll]] for (uint j = 0u; j < kWidth; ++j) sum = fma(w[pc.w_at + c * pc.w_stride + j], u[j], sum);
    y[pc.y_at + token * pc.y_stride + c] = pc.silu != 0u ? sum / (1.0 + exp(-sum)) : sum;

    const uint slot = after[pc.after_at + token];
    if (slot == kNoState) return;
    [[unroll]] for (uint j = 1u; j < kWidth; ++j) states[pc.states_at + slot * pc.states_stride + (j - 1u) * pc.n + c] = u[j];
}
