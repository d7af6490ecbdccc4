#ifndef ATLAS_PUSH_ROUTE_H
#define ATLAS_PUSH_ROUTE_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(RoutePush)
    uint n_experts;
    uint n_used;
    uint n_groups;
    uint n_groups_used;
    uint normalized;  // 1: the weights of a token are divided by their sum
    float scale;
    uint logits_at;
    uint logits_stride;
    uint has_bias;
    uint bias_at;
    uint routes_at;
    uint routes_stride;
ATLAS_PUSH_END(RoutePush)

#endif
