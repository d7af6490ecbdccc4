#version 460
#extension GL_GOOGLE_include_directive : require
// math: penalties: logit[t] = penalized(logit[t]) for every token t of the history. Then the best rank of every class of ids.
// shapes: logits [n_rows, n_vocab] f32, params [n_rows, kParamWords], history [2 + n_history], work [n_rows, work_stride].
// layout: offsets in words, see push/sample.h.
// grid: x covers the classes, an invocation owns the ids i, i + n_classes, ...; y is the row.
// requires: Vulkan 1.2, nothing else.
// bound by: memory bandwidth (the row is read once).
// source: shaders/sample/arithmetic.h; penalties as in runtime/session/sampler.h.
#include "shaders/sample/work.glsl"

layout(local_size_x_id = 0) in;
layout(binding = 0, std430) buffer Logits { float logits[]; };
layout(binding = 1, std430) readonly buffer Params { uint params[]; };
layout(binding = 2, std430) readonly buffer History { uint history[]; };
layout(binding = 3, std430) writeonly buffer Work { uint work[]; };

// A token is handled where it was seen first, by the owner of its class: no other invocation touches its logit.
void penalize(uint row_at, uint param, uint class_id) {
    const uint count = min(history[pc.history_at], pc.n_history), ring = pc.history_at + kHistoryHead;
    for (uint i = 0; i < count; ++i) {
        const uint token = history[ring + i];
        if (token >= pc.n_vocab || token % pc.n_classes != class_id) continue;
        uint times = 1;
        bool seen_before = false;
        for (uint j = 0; j < count; ++j) {
            if (j == i || history[ring + j] != token) continue;
            seen_before = seen_before || j < i;
            ++times;
        }
        if (seen_before) continue;
        logits[row_at + token] =
            penalized(logits[row_at + token], times, float_of(params[param + kParamRepetition]), float_of(params[param + kParamInverse]),
                      float_of(params[param + kParamFrequency]), float_of(params[param + kParamPresence]));
    }
}

void main() {
    const uint class_id = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
    if (class_id >= pc.n_classes) return;
    const uint row_at = pc.logits_at + row * pc.logits_stride, param = pc.params_at + row * kParamWords, base = work_base(row);
    if ((params[param + kParamFlags] & kWantsPenalties) != 0u && pc.n_history > 0) penalize(row_at, param, class_id);
    uint best = 0;
    for (uint i = class_id; i < pc.n_vocab; i += pc.n_classes) best = max(best, rank_of(logits[row_at + i]));
    work[base + class_at(class_id)] = best;
    if (class_id == 0) work[base + kGatheredCount] = 0;
}
