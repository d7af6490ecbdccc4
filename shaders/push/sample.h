#ifndef ATLAS_PUSH_SAMPLE_H
#define ATLAS_PUSH_SAMPLE_H
#include "shaders/push/push.h"

// The work area of a row, in words from work_at + row * work_stride: how many were gathered, the rank they were gathered from, then the
// best rank of each class (ids that are equal modulo n_classes), four words of sums per gathering workgroup, gathered ranks, their ids.
ATLAS_PUSH_BEGIN(SamplePush)
    uint n_vocab;
    uint n_classes;
    uint n_groups;    // that gather, per row
    uint capacity;    // most that are gathered
    uint logits_at;
    uint logits_stride;
    uint params_at;
    uint work_at;
    uint work_stride;
    uint history_at;
    uint n_history;   // places of the ring; 0: there is none
    uint tokens_at;
    uint has_tokens;  // 1: the chosen id is also written to tokens[row]
    uint results_at;
ATLAS_PUSH_END(SamplePush)

#endif
