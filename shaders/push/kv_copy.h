#ifndef ATLAS_PUSH_KV_COPY_H
#define ATLAS_PUSH_KV_COPY_H
#include "shaders/push/push.h"

// from_at, to_at, page_units: in units of 16 bytes (shaders/common/cache_layout.glsl).
ATLAS_PUSH_BEGIN(KvCopyPush)
    uint from_at;
    uint to_at;
    uint page_units;  // of one page
    uint n_from_pages;
    uint n_to_pages;
    uint from_pages_at;
    uint to_pages_at;
ATLAS_PUSH_END(KvCopyPush)

#endif
