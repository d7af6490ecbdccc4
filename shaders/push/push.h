// Push constants are written once, in a header that C++ and GLSL both include. Only uint and float members, so that the C++ layout
// and GLSL's std430 agree. Units: *_at and *_stride are elements of the bound buffer (f32, u32 or cache elements) unless they end in
// _blocks; *_at counts from the start of the bound range.
#ifndef ATLAS_PUSH_PUSH_H
#define ATLAS_PUSH_PUSH_H

#ifdef __cplusplus
#include <cstdint>
#define ATLAS_PUSH_BEGIN(name) \
    namespace atlas::push {    \
    using uint = std::uint32_t; \
    struct name {
#define ATLAS_PUSH_END(name)                                                                     \
    }                                                                                            \
    ;                                                                                            \
    static_assert(sizeof(name) <= 128, "Vulkan promises 128 bytes of push constants, no more"); \
    }
#else
#define ATLAS_PUSH_BEGIN(name) struct name {
#define ATLAS_PUSH_END(name) \
    }                        \
    ;                        \
    layout(push_constant) uniform PushBlock { name pc; };
#endif

#endif
