#ifndef ATLAS_PUSH_CACHE_FORMAT_H
#define ATLAS_PUSH_CACHE_FORMAT_H
// The formats of a KV cache as specialization constants; C++ maps a Format to one of them (runtime/kernels/kv_cache.h).
#define ATLAS_CACHE_F32 0u
#define ATLAS_CACHE_F16 1u
#define ATLAS_CACHE_BF16 2u
#define ATLAS_CACHE_Q8_0 3u
#define ATLAS_CACHE_Q5_1 4u
#define ATLAS_CACHE_Q5_0 5u
#define ATLAS_CACHE_Q4_1 6u
#define ATLAS_CACHE_Q4_0 7u
#endif
