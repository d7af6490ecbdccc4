#pragma once
// A device and its driver, for display.

#include <string>

#include "runtime/vk/caps.h"

namespace atlas::vk {

/// "NVIDIA GeForce RTX 3090, NVIDIA (565.57.01)"; a driver that has the device's name is not named again: "llvmpipe
/// (LLVM 15.0.6, 256 bits), Mesa 22.3.6".
std::string device_title(const DeviceCaps& caps);

}  // namespace atlas::vk
