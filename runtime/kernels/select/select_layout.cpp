// The layout (quant/planar.h) in which a device should keep matrices of a format, as measured. Only this file decides
// it.
#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/select/select.h"

namespace atlas {

// What RADV's compiler makes of the mat-vec for one token and navi31 (Mesa 25.0.7, 2026-11-21), loads and vector
// instructions for 2 rows, blocks -> planar: q6_k 126 -> 32 and 1453 -> 1235, q3_k 102 -> 32 and 1348 -> 1282, q8_0 148
// -> 34 and 1296 -> 1205, q4_0 84 -> 26 and 1017 -> 1023, q5_0 104 -> 36, f16 264 -> 40 and 750 -> 403; q6_k and q3_k
// only so stay at 8 waves with 24 tokens. Blocks of whole words (q4_1: 26 and 878 -> 26 and 995; q5_1, q2_k, iq4_xs the
// same) are read 16 bytes wide as they are, where a load may start at any word. Mesa's software device from 26 on
// compiles loads of single words at odd places to gathers: there a planar q6_k took the decode of a 281M Q4_K_M model
// from 143 to 86 ms of processor time a token (2026-11-21). [4096, 1024] in ms of processor time, each with its best
// rows per invocation, 1 and 8 tokens: q8_0 2.2 -> 1.6 and 3.4 -> 3.1, q4_0 1.6 -> 1.05 and 3.0 -> 2.4, q5_0 1.7 -> 1.2
// and 3.3 -> 2.6, iq4_nl 2.2 -> 1.5 and 3.9 -> 3.3, mxfp4 3.6 -> 2.7 and 4.9 -> 3.6, q3_k 3.8 -> 1.7 and 6.0 -> 3.5,
// f16 2.9 -> 1.9 and 4.1 -> 3.5, bf16 2.7 -> 2.6 and 4.3 -> 3.3; of whole words: q4_1 1.4 -> 1.25 and 2.9 -> 2.65, q5_1
// 1.7 -> 1.3 and 3.0 -> 2.7; q2_k 1.24 -> 1.20 and 2.8 -> 2.9, iq4_xs 1.8 -> 1.6 and 3.7 -> 3.7, which is not worth
// regrouping at load (Mesa 26.2.6, 2026-11-21).
Layout choose_layout(const vk::DeviceCaps& caps, Format weight) {
    if (!has_planes(weight)) return Layout::blocks;
    const bool whole_words = info(weight).block_bytes % 4 == 0;
    if (runs_on_cpu(caps)) {
        const bool superblocks = info(weight).block_elems > 32;
        return compiles_to_gathers(caps) && !(whole_words && superblocks) ? Layout::planar : Layout::blocks;
    }
    return whole_words && caps.min_storage_buffer_offset_alignment <= 4 ? Layout::blocks : Layout::planar;
}

}  // namespace atlas
