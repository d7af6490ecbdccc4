// qwen2: Qwen2, Qwen2.5, Qwen2.5-Coder, DeepSeek-R1-Distill-Qwen. The block of llama with biases on q, k and v, and rope over the two
// halves of a head.

#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kQwen2;
const Architecture kQwen2 = {
    .name = "qwen2",
    .read_config = [](const gguf::File& file) { return read_decoder_config(file, RopeParams::Pairing::halves); },
    .weights = dense_decoder_weights_without_ffn_scales,
    .forward = forward_dense_decoder,
};

}  // namespace atlas
