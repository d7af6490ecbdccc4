#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
// math: the chosen token of a row: filters, temperature and draw as shaders/sample/arithmetic.h defines them. Tries the gathered candidates;
//   if the token is not among them, goes through the whole row.
// shapes: logits [n_rows, n_vocab] f32, params [n_rows, kParamWords], work [n_rows, work_stride], history [2 + n_history], tokens [n_rows],
//   results [n_rows, kResultWords].
// layout: offsets in words, see push/sample.h.
// grid: a workgroup owns a row.
// requires: Vulkan 1.2; n_vocab at most 2^20.
// bound by: latency of some ten histograms over the candidates.
// source: shaders/sample/arithmetic.h.
#include "shaders/sample/work.glsl"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) readonly buffer Logits { float logits[]; };
layout(binding = 1, std430) readonly buffer Params { uint params[]; };
layout(binding = 2, std430) readonly buffer Work { uint work[]; };
layout(binding = 3, std430) buffer History { uint history[]; };
layout(binding = 4, std430) writeonly buffer Tokens { uint tokens[]; };
layout(binding = 5, std430) writeonly buffer Results { uint results[]; };

shared uint best_of_all;
shared uint lowest_id;
uint base, row_at, param, flags, best = 0;
float rate;
bool from_gathered;

uint n_elements() { return from_gathered ? work[base + kGatheredCount] : pc.n_vocab; }
uint element_rank(uint i) { return from_gathered ? work[base + gathered_rank_at(i)] : rank_of(logits[row_at + i]); }
uint element_id(uint i) { return from_gathered ? work[base + gathered_id_at(i)] : i; }
#include "shaders/sample/find.glsl"
#include "shaders/sample/draw.glsl"

// All weights of the row: at temperature 1 (which = 0), at the temperature (1).
uvec2 row_sum(uint which) {
    uvec2 sum = uvec2(0);
    [[dont_unroll]] for (uint i = 0; i < pc.n_groups; ++i) {
        const uint at = base + sums_at(i) + 2 * which;
        sum = add64(sum, uvec2(work[at], work[at + 1]));
    }
    return sum;
}

// The lowest id with at least this rank; only classes that have one are searched.
uint first_id(uint rank) {
    if (gl_LocalInvocationID.x == 0) lowest_id = 0xFFFFFFFFu;
    barrier();
    for (uint c = gl_LocalInvocationID.x; c < pc.n_classes; c += gl_WorkGroupSize.x) {
        if (work[base + class_at(c)] < rank) continue;
        uint i = c;
        while (i < pc.n_vocab && rank_of(logits[row_at + i]) < rank) i += pc.n_classes;
        atomicMin(lowest_id, i);
    }
    barrier();
    return lowest_id;
}

// What the sum of a stage must reach, from the sum over the elements or, if these are not all, over the row.
uvec2 need_of(uint stage, bool complete) {
    if (stage == kCount) return uvec2(top_k_of(params[param + kParamTopK]), 0);
    const uvec2 sum = complete ? sum_of_bins() : row_sum(stage == kHead ? 0 : 1);
    if (stage == kHead) {
        const uvec2 need = share_of(sum, params[param + kParamHeadShare]);
        return need == uvec2(0) ? uvec2(1, 0) : need;
    }
    const uvec4 random = philox4x32(uvec4(params[param + kParamDraw], params[param + kParamDraw + 1], 0, 0),
                                    uvec2(params[param + kParamSeed], params[param + kParamSeed + 1]));
    return add64(fraction_of(sum, random.yx), uvec2(1, 0));
}

// top_k, top_p, min_p and the draw, each a stage that shortens the head `cut`. If something is not among the gathered candidates, starts
// over with the row.
Cut choose() {
    const bool wants_p = (flags & kWantsTopP) != 0u, wants_min = (flags & kWantsMinP) != 0u;
    const uint gathered = work[base + kGatheredCount];
    from_gathered = gathered > 0 && gathered <= pc.capacity;
    bool complete = !from_gathered;  // whether all that `cut` keeps is among the elements
    Cut cut = Cut(0, kAnyId);
    uint stage = kCount;
    for (;;) {
        if ((stage == kCount && top_k_of(params[param + kParamTopK]) == 0) || (stage == kHead && !wants_p)) {
            ++stage;
            continue;
        }
        if (stage == kDraw && wants_min) {
            const uint lowest = lowest_rank(best, float_of(params[param + kParamLogMinP]));
            if (lowest > cut.rank) {
                cut = Cut(lowest, kAnyId);
                complete = complete || lowest >= work[base + kGatheredFrom];
            }
        }
        bool failed = stage == kDraw && !complete && cut.rank > 0;
        if (!failed) {
            Search s = Search(stage, cut, uvec2(0), 0, Cut(0, 0));
            uint status;
            do {
                fill_bins(s);
                if (s.level == 0) s.left = need_of(stage, complete);
                status = advance(s, stage == kDraw);
            } while (status == kMore);
            if (status == kReached) {
                if (stage == kDraw) return s.head;
                cut = s.head;
                complete = true;
            } else {
                failed = stage != kHead || !wants_min;
            }
        }
        if (failed) {
            if (!from_gathered) return Cut(best, 0);  // cannot be; but a device must not hang
            from_gathered = false;
            complete = true;
            cut = Cut(0, kAnyId);
            stage = kCount;
            continue;
        }
        ++stage;
    }
}

void write_result(uint row, Cut chosen, uint status) {
    const uint at = pc.results_at + row * kResultWords;
    results[at + kResultId] = chosen.id;
    results[at + kResultStatus] = status;
    results[at + kResultRank] = chosen.rank;
    results[at + kResultBest] = best;
    const uvec2 sum = (flags & kWantsSum) != 0u ? row_sum(0) : uvec2(0);
    results[at + kResultSum] = sum.x;
    results[at + kResultSum + 1] = sum.y;
    if (pc.has_tokens != 0) tokens[pc.tokens_at + row] = chosen.id;
    if (pc.n_history == 0 || status != kChosen) return;
    const uint count = history[pc.history_at], next = history[pc.history_at + 1];
    history[pc.history_at + kHistoryHead + next] = chosen.id;
    history[pc.history_at] = min(count + 1, pc.n_history);
    history[pc.history_at + 1] = next + 1 < pc.n_history ? next + 1 : 0;
}

void main() {
    const uint row = gl_WorkGroupID.x, lane = gl_LocalInvocationID.x;
    row_at = pc.logits_at + row * pc.logits_stride;
    param = pc.params_at + row * kParamWords;
    base = work_base(row);
    flags = params[param + kParamFlags];
    rate = float_of(params[param + kParamRate]);
    if (lane == 0) best_of_all = 0;
    barrier();
    uint lane_best = 0;
    for (uint i = lane; i < pc.n_classes; i += gl_WorkGroupSize.x) lane_best = max(lane_best, work[base + class_at(i)]);
    atomicMax(best_of_all, lane_best);
    barrier();
    best = best_of_all;

    uint status = kChosen;
    Cut chosen = Cut(best, 0);
    if (best >= kRankInfinity) {
        status = kDamaged;
        chosen.id = first_id(kRankInfinity);
        chosen.rank = rank_of(logits[row_at + chosen.id]);
    } else if (best <= kRankMinusInfinity) {
        status = kImpossible;
    } else if ((flags & kWantsGreedy) != 0u) {
        chosen.id = first_id(best);
    } else {
        chosen = choose();
    }
    if (lane == 0) write_result(row, chosen, status);
}
