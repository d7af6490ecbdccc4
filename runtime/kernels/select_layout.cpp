// In which layout (quant/planar.h) a device should keep matrices of a format: by measurement, here alone.
#include "runtime/kernels/matmul_variant.h"

namespace atlas {

// What RADV's compiler makes of the mat-vec for one token and navi31 (Mesa 25.0.7, 2026-11-21), loads and vector instructions for 2 rows,
// blocks -> planar: q6_k 126 -> 32 and 1453 -> 1235, q3_k 102 -> 32 and 1348 -> 1282, q8_0 148 -> 34 and 1296 -> 1205, q4_0 84 -> 26 and
// 1017 -> 1023, q5_0 104 -> 36, f16 264 -> 40 and 750 -> 403; q6_k and q3_k only so stay at 8 waves with 24 tokens. Blocks of whole words (q4_1:
// 26 and 878 -> 26 and 995; q5_1, q2_k, iq4_xs alike) are read 16 bytes wide as they are, where a load may start at any word.
Layout choose_layout(const vk::DeviceCaps& caps, Format weight) {
    if (!has_planes(weight) || runs_on_cpu(caps)) return Layout::blocks;
    const bool whole_words = info(weight).block_bytes % 4 == 0;
    return whole_words && caps.min_storage_buffer_offset_alignment <= 4 ? Layout::blocks : Layout::planar;
}

}  // namespace atlas
