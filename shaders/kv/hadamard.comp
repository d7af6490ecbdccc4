#version 460
#extension GL_GOOGLE_include_directive : require
// math: every run of kBlock columns c of x becomes H c / sqrt(kBlock): H is Sylvester's Hadamard matrix, H[i][j] = (-1)^popcount(i & j).
// shapes: x [n_tokens, cols] f32, in place; cols a multiple of kBlock.
// layout: offsets in elements, see push/hadamard.h.
// grid: x: 256 columns per workgroup; y: token.
// requires: Vulkan 1.2; kBlock a power of two, 2 .. 256.
// bound by: latency with few tokens; else memory bandwidth.
// source: the fast Walsh-Hadamard transform; its use on caches: QuaRot, arXiv:2404.00456.
#include "shaders/push/hadamard.h"

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint kBlock = 2;
const uint kTile = 256;

layout(binding = 0, std430) buffer X { float x[]; };

shared float tile[kTile];

void main() {
    const uint first = gl_WorkGroupID.x * kTile, row = pc.x_at + gl_WorkGroupID.y * pc.x_stride, lane = gl_LocalInvocationID.x;
    for (uint i = lane; i < kTile; i += gl_WorkGroupSize.x) tile[i] = first + i < pc.cols ? x[row + first + i] : 0.0;
    for (uint half_block = 1; half_block < kBlock; half_block *= 2) {
        barrier();
        for (uint i = lane; i < kTile / 2; i += gl_WorkGroupSize.x) {
            const uint a = i / half_block * 2 * half_block + i % half_block, b = a + half_block;
            const float low = tile[a], high = tile[b];
            tile[a] = low + high;
            tile[b] = low - high;
        }
    }
    barrier();
    const float scale = inversesqrt(float(kBlock));
    for (uint i = lane; i < kTile; i += gl_WorkGroupSize.x) {
        if (first + i < pc.cols) x[row + first + i] = tile[i] * scale;
    }
}
