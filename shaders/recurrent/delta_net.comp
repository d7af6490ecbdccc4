#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: per token of a sequence, with M [d, d] of head h, k and q divided by their norms:
//       M = decay M;  delta = beta (v - M^T k);  M = M + k delta^T;  y = M^T q / sqrt(d).
//       decay = exp(a softplus(alpha + dt_bias)), beta after a sigmoid. Both products are taken of M before the token, so that M is passed
//       once:  y = (decay M^T q + delta (k q)) / sqrt(d).
//       LINEAR (Mamba-2): k, q as they are, decay = exp(a dt), dt = softplus(alpha + dt_bias), delta = dt v, y = M^T q + skip v; M is [d,
//       values] and beta holds the skips.
// shapes: q, k [n_tokens, n_k_heads * d]; v, y [n_tokens, n_v_heads * d]; alpha, beta [n_tokens, n_v_heads]; a, dt_bias [n_v_heads]; states
//         [slots, n_v_heads * d * d]; f32. positions, seqs, after [n_tokens], before [sequences] u32.
// layout: offsets and strides in elements, see push/delta_net.h.
// grid: x: block of columns of M; y: head of values; z: sequence. A column is shared out over kParts invocations, which keep their rows in
//       registers from the sequence's first token to its last; kTile tokens' keys and queries lie in shared memory.
// requires: Vulkan 1.2; the local size is a multiple of kParts, at least kTile; d at most 256. At most 8 KiB of shared memory for keys and
//           queries, 8 bytes per invocation and buffer for sums. No row of the states is both read and written.
// bound by: latency with few tokens in flight; the state is read once per step and written where it is kept.
// source: gated delta rule, arXiv:2412.06464; runtime/ops/recurrent.h.
#include "common/activation.glsl"
#include "shaders/push/delta_net.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kHeadDim = 128;
layout(constant_id = 2) const uint kParts = 1;
layout(constant_id = 3) const uint kColumns = 64;  // of a workgroup: its size / kParts
layout(constant_id = 4) const uint kValueDim = 128;
layout(constant_id = 5) const bool LINEAR = false;
layout(binding = 0, std430) restrict readonly buffer Q { float q[]; };
layout(binding = 1, std430) restrict readonly buffer K { float k[]; };
layout(binding = 2, std430) restrict readonly buffer V { float v[]; };
layout(binding = 3, std430) readonly buffer Alpha { float alpha[]; };
layout(binding = 4, std430) readonly buffer Beta { float beta[]; };
layout(binding = 5, std430) readonly buffer A { float a[]; };
layout(binding = 6, std430) readonly buffer DtBias { float dt_bias[]; };
layout(binding = 7, std430) buffer States { float states[]; };
layout(binding = 8, std430) readonly buffer Positions { uint positions[]; };
layout(binding = 9, std430) readonly buffer Seqs { uint seqs[]; };
layout(binding = 10, std430) readonly buffer Before { uint before[]; };
layout(binding = 11, std430) readonly buffer After { uint after[]; };
layout(binding = 12, std430) restrict writeonly buffer Y { float y[]; };

const uint kNoState = 0xFFFFFFFFu;
const uint kTile = kHeadDim > 128u ? 4u : 8u;
const uint kQuads = (kHeadDim + 4u * kParts - 1u) / (4u * kParts);  // fours of rows of an invocation
const uint kAllQuads = kQuads * kParts;
const bool kIsWhole = 4u * kAllQuads == kHeadDim;  // no rows past the head

struct TokenFactors {
    float decay, beta;
    float k, q;   // what keys and queries are multiplied with; q with 1 / sqrt(d), too
    float dot_kq;  // of keys and queries as they are
    float skip;
};

shared vec4 keys[kTile * kAllQuads], queries[kTile * kAllQuads];  // rows past the head are zeros
shared TokenFactors factors[kTile];
shared vec2 sums[2u * kParts * kColumns];  // two buffers by turns, so that a token needs one barrier
shared uint first_token, end_token;

uint lane = gl_LocalInvocationID.x;

vec4 four(uint at, uint row, bool of_keys) {
    vec4 result = vec4(0.0);
    [[unroll]] for (uint i = 0u; i < 4u; ++i) {
        if (kIsWhole || row + i < kHeadDim) result[i] = of_keys ? k[at + row + i] : q[at + row + i];
    }
    return result;
}

// Tokens first .. first + n of the tile.
void load_tile(uint first, uint n, uint head) {
    const uint key_head = pc.grouped != 0u ? head / pc.heads_per_key : head % pc.n_k_heads;
    const uint head_at = key_head * kHeadDim;
    barrier();  // the last tile is done
    for (uint i = lane; i < n * kAllQuads; i += gl_WorkGroupSize.x) {
        const uint t = first + i / kAllQuads, row = i % kAllQuads * 4u;
        keys[i] = four(pc.k_at + t * pc.k_stride + head_at, row, true);
        queries[i] = four(pc.q_at + t * pc.q_stride + head_at, row, false);
    }
    barrier();
    if (lane < n) {
        vec4 kk = vec4(0.0), qq = vec4(0.0), kq = vec4(0.0);
        for (uint i = 0u; i < kAllQuads; ++i) {
            const vec4 key = keys[lane * kAllQuads + i], query = queries[lane * kAllQuads + i];
            kk = fma(key, key, kk);
            qq = fma(query, query, qq);
            kq = fma(key, query, kq);
        }
        const vec4 ones = vec4(1.0);
        const float raw = alpha[pc.alpha_at + (first + lane) * pc.alpha_stride + head] + dt_bias[pc.dt_bias_at + head];
        const float dt = softplus(raw);
        TokenFactors f;
        f.decay = exp(a[pc.a_at + head] * dt);
        f.dot_kq = dot(kq, ones);
        f.k = f.q = 1.0;
        f.skip = 0.0;
        if (LINEAR) {
            f.beta = dt;
            f.skip = beta[pc.beta_at + head];
        } else {
            f.beta = 1.0 / (1.0 + exp(-beta[pc.beta_at + (first + lane) * pc.beta_stride + head]));
            f.k = 1.0 / sqrt(dot(kk, ones) + pc.eps);
            f.q = 1.0 / (sqrt(dot(qq, ones) + pc.eps) * sqrt(float(kHeadDim)));
        }
        factors[lane] = f;
    }
    barrier();
}

// M^T k and M^T q of a column over all of its parts.
vec2 add_parts(vec2 mine, uint part, uint column, uint turn) {
    if (kParts == 1u) return mine;
    const uint buffer_at = (turn & 1u) * kParts * kColumns + column;
    sums[buffer_at + part * kColumns] = mine;
    barrier();
    vec2 sum = sums[buffer_at];
    [[unroll]] for (uint p = 1u; p < kParts; ++p) sum += sums[buffer_at + p * kColumns];
    return sum;
}

void find_tokens() {
    if (lane == 0u) first_token = end_token = 0u;
    barrier();
    const uint seq = gl_WorkGroupID.z;
    for (uint t = lane; t < pc.n_tokens; t += gl_WorkGroupSize.x) {
        if (seqs[pc.seqs_at + t] != seq) continue;
        if (t == 0u || seqs[pc.seqs_at + t - 1u] != seq) first_token = t;
        if (t + 1u == pc.n_tokens || seqs[pc.seqs_at + t + 1u] != seq) end_token = t + 1u;
    }
    barrier();
}

void main() {
    find_tokens();
    const uint first = first_token, end = end_token;
    if (first == end) return;
    const uint head = pc.first_head + gl_WorkGroupID.y, part = lane / kColumns, in_block = lane % kColumns;
    const bool is_column = gl_WorkGroupID.x * kColumns + in_block < kValueDim;
    const uint column = min(gl_WorkGroupID.x * kColumns + in_block, kValueDim - 1u);
    const uint first_row = part * kQuads * 4u, head_at = head * kHeadDim * kValueDim + column;

    vec4 m[kQuads];
    const uint from = pc.states_at + before[pc.before_at + gl_WorkGroupID.z] * pc.states_stride + head_at;
    [[unroll]] for (uint i = 0u; i < kQuads; ++i) {
        [[unroll]] for (uint r = 0u; r < 4u; ++r) {
            const uint row = first_row + i * 4u + r;
            const float loaded = states[from + min(row, kHeadDim - 1u) * kValueDim];
            m[i][r] = kIsWhole || row < kHeadDim ? loaded : 0.0;
        }
    }

    float result = 0.0;
    uint turn = 0u;  // tokens that were not repeated
    for (uint t = first; t < end; ++t) {
        const uint in_tile = (t - first) % kTile;
        if (in_tile == 0u) load_tile(t, min(kTile, end - t), head);
        if (t == first || positions[pc.positions_at + t] != positions[pc.positions_at + t - 1u]) {
            const TokenFactors f = factors[in_tile];
            const uint at = in_tile * kAllQuads + part * kQuads;
            vec4 mk = vec4(0.0), mq = vec4(0.0);
            [[unroll]] for (uint i = 0u; i < kQuads; ++i) {
                mk = fma(m[i], keys[at + i], mk);
                mq = fma(m[i], queries[at + i], mq);
            }
            const vec4 ones = vec4(1.0);
            const vec2 sum = f.decay * add_parts(vec2(dot(mk, ones), dot(mq, ones)), part, in_block, turn++);
            const float value = v[pc.v_at + t * pc.v_stride + head * kValueDim + column];
            const float change = f.k * f.beta * (LINEAR ? value : value - f.k * sum.x);
            result = fma(f.skip, value, f.q * fma(change, f.dot_kq, sum.y));
            [[unroll]] for (uint i = 0u; i < kQuads; ++i) m[i] = fma(vec4(change), keys[at + i], f.decay * m[i]);
        }
        if (is_column && part == 0u) y[pc.y_at + t * pc.y_stride + head * kValueDim + column] = result;
        const uint slot = after[pc.after_at + t];
        if (is_column && slot != kNoState) {
            const uint to = pc.states_at + slot * pc.states_stride + head_at;
            [[unroll]] for (uint i = 0u; i < kQuads; ++i) {
                [[unroll]] for (uint r = 0u; r < 4u; ++r) {
                    const uint row = first_row + i * 4u + r;
                    if (kIsWhole || row < kHeadDim) states[to + row * kValueDim] = m[i][r];
                }
            }
        }
    }
}
