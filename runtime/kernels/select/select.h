#pragma once
// How kernels other than matrix products and attention are tuned (for those see matmul_variant.h and
// attention_variant.h): pure functions of what the device can do and of the shape. select.cpp is the only file in this
// folder that may name vendors.

#include <cstdint>

#include "runtime/vk/caps.h"

namespace atlas {

/// Invocations of a workgroup that owns a row (norm): a power of two, at most 256.
uint32_t choose_row_lanes(const vk::DeviceCaps& caps, uint32_t cols);
/// Software devices: whether the driver's compiler makes gather instructions of loads and scalar code of uniform
/// values; else every load is a loop over the lanes, and long shaders take seconds to compile.
bool compiles_to_gathers(const vk::DeviceCaps& caps);
/// The size of subgroups that pipelines ask for, within what the device has: 32, or less where 32 is its widest of
/// several.
uint32_t choose_subgroup_size(const vk::DeviceCaps& caps);
/// Registers that a kernel may use per lane, in subgroups of choose_subgroup_size: with more of them too few subgroups
/// fit, or they spill.
uint32_t registers_per_lane(const vk::DeviceCaps& caps);
/// Whether the driver's compiler unpacks the result of a wide load at its uses; unpacking all of it at the load takes
/// registers.
bool unpacks_late(const vk::DeviceCaps& caps);
/// Invocations of a workgroup where each owns an element (add, rope, ...).
uint32_t choose_element_lanes(const vk::DeviceCaps& caps);

/// How delta_net shares out a head's [d, d] state.
struct DeltaNetLanes {
    uint32_t columns = 0;  // of a workgroup
    uint32_t parts = 0;    // invocations of a column
};
DeltaNetLanes choose_delta_net_lanes(const vk::DeviceCaps& caps, uint32_t head_dim);

}  // namespace atlas
