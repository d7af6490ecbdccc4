#version 460
#extension GL_GOOGLE_include_directive : require
// math: to[to_pages[i], :] = from[from_pages[i], :] as words: bits stay what they are, whatever number they mean.
// shapes: from [n_from_pages, page_units], to [n_to_pages, page_units] of 16 bytes; from_pages, to_pages [n] u32.
// layout: pages follow each other, offsets in 16 bytes, see push/kv_copy.h; what lies in a page is common/cache_layout.glsl's.
// grid: x covers a page, an invocation owns 16 bytes; y: the pair of pages. A pair with a number past its cache does nothing.
// requires: Vulkan 1.2.
// bound by: memory bandwidth.
// source: runtime/ops/ops.h, kv_copy.
#include "shaders/push/kv_copy.h"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer From { uvec4 from[]; };
layout(binding = 1, std430) buffer To { uvec4 to[]; };
layout(binding = 2, std430) readonly buffer FromPages { uint from_pages[]; };
layout(binding = 3, std430) readonly buffer ToPages { uint to_pages[]; };

void main() {
    const uint unit = gl_GlobalInvocationID.x, pair = gl_WorkGroupID.y;
    if (unit >= pc.page_units) return;
    const uint source = from_pages[pc.from_pages_at + pair], target = to_pages[pc.to_pages_at + pair];
    if (source >= pc.n_from_pages || target >= pc.n_to_pages) return;
    to[pc.to_at + target * pc.page_units + unit] = from[pc.from_at + source * pc.page_units + unit];
}
