#pragma once
// The subgroup sizes that a compute pipeline can rely on. Pure.

#include <cstdint>

#include "runtime/base/error.h"
#include "runtime/vk/caps.h"

namespace atlas::vk {

/// What a driver reports of the subgroups of compute shaders.
struct SubgroupSizes {
    bool size_control = false;     // the feature subgroupSizeControl
    bool full_subgroups = false;   // the feature computeFullSubgroups
    bool compute_may_ask = false;  // requiredSubgroupSizeStages has compute: a pipeline may ask for a size
    uint32_t usual = 0, min = 0, max = 0;
};

/// DeviceCaps::subgroup_size_control: whether a pipeline can have full subgroups of every size in min..max. A device
/// that has one size needs no request for it, and not every driver accepts one: NVK (Mesa 26.2) has subgroups of 32
/// only and names no stage.
bool has_full_subgroups(const SubgroupSizes& sizes);

/// What a pipeline with full subgroups of `wanted` must ask the driver for; 0: nothing, because all subgroups have that
/// size. Fails: unsupported.
Result<uint32_t> subgroup_size_to_request(const DeviceCaps& caps, uint32_t wanted);

}  // namespace atlas::vk
