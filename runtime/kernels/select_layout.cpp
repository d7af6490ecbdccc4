// In which layout (quant/planar.h) a device should keep matrices of a format: by measurement, here alone.
#include "runtime/kernels/matmul_variant.h"
#include "runtime/kernels/select.h"

namespace atlas {

// What RADV's compiler makes of the mat-vec for one token and navi31 (Mesa 25.0.7, 2026-11-21), loads and vector instructions for 2 rows,
// blocks -> planar: q6_k 126 -> 32 and 1453 -> 1235, q3_k 102 -> 32 and 1348 -> 1282, q8_0 148 -> 34 and 1296 -> 1205, q4_0 84 -> 26 and
// 1017 -> 1023, q5_0 104 -> 36, f16 264 -> 40 and 750 -> 403; q6_k and q3_k only so stay at 8 waves with 24 tokens. Blocks of whole words (q4_1:
// 26 and 878 -> 26 and 995; q5_1, q2_k, iq4_xs alike) are read 16 bytes wide as they are, where a load may start at any word.
// Mesa's software device from 26 on turns single words at odd places into gathers: there a planar q6_k took the decode of a 281M Q4_K_M model
// from 143 to 86 ms of processor time a token (2026-11-21). Its other formats were not timed.
Layout choose_layout(const vk::DeviceCaps& caps, Format weight) {
    if (!has_planes(weight)) return Layout::blocks;
    if (runs_on_cpu(caps)) return compiles_to_gathers(caps) && weight == Format::q6_k ? Layout::planar : Layout::blocks;
    const bool whole_words = info(weight).block_bytes % 4 == 0;
    return whole_words && caps.min_storage_buffer_offset_alignment <= 4 ? Layout::blocks : Layout::planar;
}

}  // namespace atlas
