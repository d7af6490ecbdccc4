#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: a rank that, with luck, few candidates reach, and all that matter: with top_k the k-th best class (at least k
//   ids rank as high), else what min_p keeps, else a high class as a first try. Gathers the ids that reach it, and sums
//   the weights of the whole row where a sum over all candidates is needed.
// shapes: logits [n_rows, n_vocab] f32, params [n_rows, kParamWords], work [n_rows, work_stride].
// layout: offsets in words, see push/sample.h.
// grid: x: n_groups workgroups, each finds the rank for itself and goes through its share of the ids; y is the row.
// requires: Vulkan 1.2; local size a power of two, at most 256.
// bound by: memory latency (the row comes from cache).
// source: shaders/sample/arithmetic.h.
#include "shaders/sample/work.glsl"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer Logits { float logits[]; };
layout(binding = 1, std430) readonly buffer Params { uint params[]; };
layout(binding = 2, std430) buffer Work { uint work[]; };

shared uint best_of_all;
shared uvec2 lane_sums[2][256];
uint base, best = 0;
float rate;

uint n_elements() { return pc.n_classes; }
uint element_rank(uint i) { return work[base + class_at(i)]; }
uint element_id(uint i) { return i; }
#include "shaders/sample/find.glsl"

uint rank_to_gather_from(uint param, uint flags, uint top_k) {
    if (top_k > pc.n_classes) return 0xFFFFFFFFu;  // nothing: the row itself is gone through
    if (top_k == 0 && (flags & kWantsMinP) != 0u) return lowest_rank(best, float_of(params[param + kParamLogMinP]));
    Search s = Search(kCount, Cut(0, kAnyId), uvec2(top_k == 0 ? pc.n_classes / 4 : top_k, 0), 0, Cut(0, 0));
    uint status;
    do {
        fill_bins(s);
        status = advance(s, false);
    } while (status == kMore && s.level < 4);
    return s.head.rank;
}

void write_sums(uvec2 head_sum, uvec2 draw_sum) {
    const uint lane = gl_LocalInvocationID.x;
    lane_sums[0][lane] = head_sum;
    lane_sums[1][lane] = draw_sum;
    for (uint half_lanes = gl_WorkGroupSize.x / 2; half_lanes > 0; half_lanes /= 2) {
        barrier();
        if (lane >= half_lanes) continue;
        for (uint i = 0; i < 2; ++i) lane_sums[i][lane] = add64(lane_sums[i][lane], lane_sums[i][lane + half_lanes]);
    }
    if (lane > 0) return;
    const uint at = base + sums_at(gl_WorkGroupID.x);
    work[at] = lane_sums[0][0].x;
    work[at + 1] = lane_sums[0][0].y;
    work[at + 2] = lane_sums[1][0].x;
    work[at + 3] = lane_sums[1][0].y;
}

void main() {
    const uint row = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x, lanes = gl_WorkGroupSize.x;
    const uint row_at = pc.logits_at + row * pc.logits_stride, param = pc.params_at + row * kParamWords;
    const uint flags = params[param + kParamFlags];
    const bool greedy = (flags & kWantsGreedy) != 0u;
    const uint top_k = top_k_of(params[param + kParamTopK]);
    const bool sums = (flags & kWantsSum) != 0u || (!greedy && top_k == 0);
    if (greedy && !sums) return;
    base = work_base(row);
    rate = float_of(params[param + kParamRate]);
    if (lane == 0) best_of_all = 0;
    barrier();
    uint lane_best = 0;
    for (uint i = lane; i < pc.n_classes; i += lanes) lane_best = max(lane_best, work[base + class_at(i)]);
    atomicMax(best_of_all, lane_best);
    barrier();
    best = best_of_all;
    const uint from = greedy ? 0xFFFFFFFFu : rank_to_gather_from(param, flags, top_k);
    if (lane == 0 && gl_WorkGroupID.x == 0) work[base + kGatheredFrom] = from;
    uvec2 head_sum = uvec2(0), draw_sum = uvec2(0);
    for (uint i = gl_GlobalInvocationID.x; i < pc.n_vocab; i += pc.n_groups * lanes) {
        const uint rank = rank_of(logits[row_at + i]);
        if (sums) {
            head_sum = add64(head_sum, uvec2(weight_of(rank, best, kOctavesPerUnit), 0));
            if (!greedy) draw_sum = add64(draw_sum, uvec2(weight_of(rank, best, rate), 0));
        }
        if (rank < from || greedy) continue;
        const uint place = atomicAdd(work[base + kGatheredCount], 1);
        if (place >= pc.capacity) continue;
        work[base + gathered_rank_at(place)] = rank;
        work[base + gathered_id_at(place)] = i;
    }
    if (sums) write_sums(head_sum, draw_sum);
}
