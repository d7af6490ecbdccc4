#include "runtime/kernels/select/select.h"

#include <algorithm>
#include <bit>

#include "runtime/kernels/select/matmul_variant.h"

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

namespace {

constexpr uint32_t kAmd = 0x1002, kNvidia = 0x10DE, kIntel = 0x8086;

}  // namespace

// Intel's (8 or 16 to 32): a thread has 128 registers at every width, of 64 bytes (Xe2, whose subgroups begin at 16) or
// of 32 (before, at 8), so that a lane has 128 at the least width and fewer at others. matvec_subgroup_q4_k with 8
// columns (ANV, Mesa 26.2.6, 2026-11-30, bench/results/bmg) spilled for a B580 489 registers at 32 and 142 at 16 with 4
// rows, none with 2; for an A770 with 2 rows 131 at 16 and 84 at 8. AMD's (32 to 64) have as many registers per lane at
// either width.
uint32_t choose_subgroup_size(const vk::DeviceCaps& caps) {
    const uint32_t least = std::max(1u, caps.min_subgroup_size), most = std::max(least, caps.max_subgroup_size);
    const bool widest_of_several = most == 32 && least < 32;
    if (widest_of_several && caps.vendor_id == kIntel) return std::clamp(8u, least, 16u);
    return std::clamp(widest_of_several ? 16u : 32u, least, most);
}

uint32_t registers_per_lane(const vk::DeviceCaps& caps) {
    // What is the same for all lanes takes as many registers in narrow subgroups as in wide ones.
    if (caps.vendor_id == kIntel) return caps.min_subgroup_size >= 16 ? 128 : 96;
    if (caps.vendor_id == kNvidia) return 168;  // 12 warps of the 48 or 64 of an SM
    return 192;                                 // 8 waves of a SIMD of AMD's
}

bool unpacks_late(const vk::DeviceCaps& caps) {
    // AMD's: attention_keys with 16 instead of 8 elements of q8_0 keys takes 240 VGPRs and leaves 6 waves (navi31,
    // Mesa 25.0.7, 2026-11-30). NVIDIA's 168 instead of 152 registers (GA102, Mesa 26.2.6), with as many warps.
    return caps.vendor_id != kAmd;
}

uint32_t choose_element_lanes(const vk::DeviceCaps& caps) { return lanes_at_most(caps, 64); }

// A part costs a barrier per token. On graphics cards four of them give a step of one token enough workgroups, and
// leave 32 registers for a head of 128. For software devices a lane has at most 16 rows: loops over them are unrolled,
// and with 24 rows Mesa 25's took 4 seconds to compile a kernel (26.2: one).
DeltaNetLanes choose_delta_net_lanes(const vk::DeviceCaps& caps, uint32_t head_dim) {
    constexpr uint32_t kMostRows = 16;
    const uint32_t parts = runs_on_cpu(caps) ? std::bit_ceil((head_dim + kMostRows - 1) / kMostRows) : 4;
    return {std::max(8u, lanes_at_most(caps, runs_on_cpu(caps) ? 64 : 128) / parts), parts};
}

}  // namespace atlas
