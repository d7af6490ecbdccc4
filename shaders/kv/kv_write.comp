#version 460
#extension GL_GOOGLE_include_directive : require
// math: k_cache[slots[t], :] = k[t, :], v_cache[slots[t], :] = v[t, :], rounded to nearest even.
// shapes: k, v [n_tokens, width] f32; caches [n_slots, width] in the WEIGHT format; slots [n_tokens] u32; width = n_head_kv * head_dim.
// layout: offsets and strides in elements, see push/kv_write.h.
// grid: x covers the columns, an invocation owns one of both k and v; y is the token.
// requires: Vulkan 1.2 with 16-bit storage.
// bound by: memory bandwidth.
// source: runtime/ops/ops.h, kv_write.
#include "common/cache_type.glsl"
#include "shaders/push/kv_write.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer K { float k[]; };
layout(binding = 1, std430) readonly buffer V { float v[]; };
layout(binding = 2, scalar) writeonly buffer KCache { CACHE_WRITE k_cache[]; };
layout(binding = 3, scalar) writeonly buffer VCache { CACHE_WRITE v_cache[]; };
layout(binding = 4, std430) readonly buffer Slots { uint slots[]; };

void main() {
    const uint i = gl_GlobalInvocationID.x, token = gl_WorkGroupID.y;
    if (i >= pc.width) return;
    const uint slot = slots[pc.slots_at + token];
    if (slot >= pc.n_slots) return;
    k_cache[pc.k_cache_at + slot * pc.k_cache_stride + i] = TO_CACHE(k[pc.k_at + token * pc.k_stride + i]);
    v_cache[pc.v_cache_at + slot * pc.v_cache_stride + i] = TO_CACHE(v[pc.v_at + token * pc.v_stride + i]);
}
