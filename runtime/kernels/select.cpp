#include "runtime/kernels/select.h"

#include <algorithm>
#include <bit>

#include "runtime/kernels/matmul_variant.h"

namespace atlas {

uint32_t choose_row_lanes(const vk::DeviceCaps& caps, uint32_t cols) {
    const uint32_t wanted = runs_on_cpu(caps) ? 8 : std::min(256u, std::bit_ceil(std::max(32u, cols / 4)));
    return lanes_at_most(caps, wanted);
}

bool compiles_to_gathers(const vk::DeviceCaps& caps) {
    // VkDriverId of Mesa's llvmpipe. Its version was a plain 1 up to Mesa 25.0; seen with gathers: 26.2.
    constexpr uint32_t kMesaLlvmpipe = 13, kMesa26 = 26u << 22;
    return caps.driver_id == kMesaLlvmpipe && caps.driver_version >= kMesa26;
}

uint32_t choose_element_lanes(const vk::DeviceCaps& caps) { return lanes_at_most(caps, 64); }

}  // namespace atlas
