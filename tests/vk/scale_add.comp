#version 460
// math:     z[i] = scale * x[i] + y[i], i < n
// shapes:   x, y, z: f32 [n]
// layout:   three storage buffers, elements; push: n (elements), scale
// grid:     one invocation an element, groups of kGroup (constant 0)
// requires: nothing
// bound by: memory
// source:   the tests of runtime/vk

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kRepeats = 1;

layout(set = 0, binding = 0) readonly buffer X { float x[]; };
layout(set = 0, binding = 1) readonly buffer Y { float y[]; };
layout(set = 0, binding = 2) buffer Z { float z[]; };
layout(push_constant) uniform Push { uint n; float scale; };

void main() {
    const uint i = gl_GlobalInvocationID.x;
    if (i >= n) return;
    float value = y[i];
    for (uint r = 0; r < kRepeats; ++r) value += scale * x[i];
    z[i] = value;
}
