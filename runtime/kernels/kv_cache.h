#pragma once
// A KV cache as kernels see it: see shaders/common/cache_layout.glsl.

#include "runtime/ops/kv_layout.h"
#include "runtime/ops/tensor.h"
#include "shaders/push/cache_format.h"

namespace atlas {

/// The specialization constant for a cache's format. Requires is_kv_format.
constexpr uint32_t cache_constant(Format format) {
    for (uint32_t i = 0; i < kKvFormats.size(); ++i) {
        if (kKvFormats[i] == format) return i;
    }
    return UINT32_MAX;
}
static_assert(cache_constant(Format::f32) == ATLAS_CACHE_F32 && cache_constant(Format::f16) == ATLAS_CACHE_F16 &&
              cache_constant(Format::bf16) == ATLAS_CACHE_BF16 && cache_constant(Format::q8_0) == ATLAS_CACHE_Q8_0 &&
              cache_constant(Format::q5_1) == ATLAS_CACHE_Q5_1 && cache_constant(Format::q5_0) == ATLAS_CACHE_Q5_0 &&
              cache_constant(Format::q4_1) == ATLAS_CACHE_Q4_1 && cache_constant(Format::q4_0) == ATLAS_CACHE_Q4_0);

/// Units of 16 bytes from row to row.
inline uint32_t cache_stride_units(const Tensor& cache) {
    return static_cast<uint32_t>(kv_row_bytes(cache.format, cache.row_stride_elems) / kKvAlignmentBytes);
}

}  // namespace atlas
