// llama: Llama 1 to 3.x, Mistral, SmolLM2, DeepSeek-R1-Distill-Llama and many others that were converted to its names.
// Files store the query and key matrices permuted so that rope turns adjacent pairs.

#include "runtime/model/dense_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kLlama;
const Architecture kLlama = {
    .name = "llama",
    .read_config = [](const gguf::File& file) { return read_decoder_config(file, RopeParams::Pairing::adjacent); },
    .weights = dense_decoder_weights,
    .forward = forward_dense_decoder,
};

}  // namespace atlas
