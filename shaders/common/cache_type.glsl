// The element type of a KV cache by the WEIGHT axis, and how a float is stored as one.
#include "common/types.glsl"
#include "common/half.glsl"
#if defined(WEIGHT_f32)
#define CACHE_READ float
#define CACHE_WRITE float
#define TO_CACHE(x) (x)
#elif defined(WEIGHT_f16)
#define CACHE_READ float16_t
#define CACHE_WRITE uint16_t
#define TO_CACHE(x) uint16_t(half_bits(x))
#else
#error "no KV cache of this format"
#endif
