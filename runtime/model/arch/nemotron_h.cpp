// nemotron_h and nemotron_h_moe: Nemotron-H and Nemotron 3. One block per layer: Mamba-2, attention without rope, or a
// feed-forward block with squared ReLU, dense or of experts.

#include "runtime/model/nemotron_decoder.h"
#include "runtime/model/registry.h"

namespace atlas {

extern const Architecture kNemotronH, kNemotronHMoe;
const Architecture kNemotronH = {
    .name = "nemotron_h",
    .read_config = read_nemotron,
    .model_weights = nemotron_model_weights,
    .layer_weights = nemotron_layer_weights,
    .forward = forward_nemotron,
};
const Architecture kNemotronHMoe = {
    .name = "nemotron_h_moe",
    .read_config = read_nemotron,
    .model_weights = nemotron_model_weights,
    .layer_weights = nemotron_layer_weights,
    .forward = forward_nemotron,
};

}  // namespace atlas
