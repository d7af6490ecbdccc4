#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: k_cache[slots[t], :] = k[t, :] and the same for v, in each cache's format: floats rounded to nearest even, blocks with the scales
//       that common/cache_quantize.glsl finds.
// shapes: k [n_tokens, k_width], v [n_tokens, v_width] f32; caches of n_slots rows; slots [n_tokens] u32.
// layout: offsets and strides of k and v in elements, of the caches in 16 bytes, see push/kv_write.h; rows as in common/cache_layout.glsl.
// grid: x covers the blocks of 32 elements (the last one of a float row may be shorter), one per invocation; y: token; z: k, then v.
// requires: Vulkan 1.2 with 16-bit storage; widths are multiples of 8, of 32 for block formats.
// bound by: memory bandwidth; the search for scales (about 5000 operations a block) in block formats.
// source: runtime/ops/ops.h, kv_write; quant/fit.h.
#include "common/types.glsl"
#include "common/half.glsl"
#include "common/cache_layout.glsl"
#include "common/cache_quantize.glsl"
#include "shaders/push/kv_write.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kKFormat = ATLAS_CACHE_F16;
layout(constant_id = 2) const uint kVFormat = ATLAS_CACHE_F16;

layout(binding = 0, std430) readonly buffer K { float k[]; };
layout(binding = 1, std430) readonly buffer V { float v[]; };
layout(binding = 2, std430) writeonly buffer KCache { uint k_words[]; };
layout(binding = 2, scalar) writeonly buffer KCacheHalves { uint16_t k_halves[]; };
layout(binding = 3, std430) writeonly buffer VCache { uint v_words[]; };
layout(binding = 3, scalar) writeonly buffer VCacheHalves { uint16_t v_halves[]; };
layout(binding = 4, std430) readonly buffer Slots { uint slots[]; };

#include "kv/write_cache.glsl"

void main() {
    const bool is_k = gl_WorkGroupID.z == 0u;
    const uint token = gl_WorkGroupID.y, block = gl_GlobalInvocationID.x, width = is_k ? pc.k_width : pc.v_width;
    if (block * 32u >= width) return;
    const uint slot = slots[pc.slots_at + token] - pc.first_slot;
    if (slot >= pc.n_slots) return;
    const uint row_unit = is_k ? pc.k_cache_at + slot * pc.k_cache_stride : pc.v_cache_at + slot * pc.v_cache_stride;
    const uint from = (is_k ? pc.k_at + token * pc.k_stride : pc.v_at + token * pc.v_stride) + block * 32u;
    vec4 x[8];
    [[unroll]] for (uint i = 0u; i < 8u; ++i) {
        x[i] = vec4(0.0);
        if (block * 32u + 4u * i >= width) continue;
        [[unroll]] for (uint j = 0u; j < 4u; ++j) x[i][j] = is_k ? k[from + 4u * i + j] : v[from + 4u * i + j];
    }
    write_cache(is_k ? kKFormat : kVFormat, is_k, row_unit, block, width, x);
}
