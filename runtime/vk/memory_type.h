#pragma once
// Which memory type an allocation comes from. Pure.

#include <optional>

#include "runtime/vk/caps.h"
#include "runtime/vk/memory.h"

namespace atlas::vk {

/// Index into caps.memory_types, among those in allowed_bits (VkMemoryRequirements::memoryTypeBits), or nothing.
std::optional<uint32_t> memory_type_for(const DeviceCaps& caps, uint32_t allowed_bits, Placement placement);

}  // namespace atlas::vk
