#pragma once
// A model as the catalogue describes it: the keys that its file would have, what its architecture makes of them, and a
// few facts that no key holds. It covers more architectures than this build can run, because people ask what would fit
// before they ask what runs.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/model/config.h"
#include "runtime/model/key_map.h"
#include "runtime/model/registry.h"

namespace atlas {

struct ModelShape {
    std::string id;    // "qwen2.5-coder-14b-instruct"
    std::string arch;  // GGUF's general.architecture
    std::vector<std::string> aliases;
    uint64_t parameters = 0;  // as published, of the text model

    KeyMap keys;         // empty where the shape is a file's
    ModelConfig config;  // of the keys

    bool tied = false;          // the output matrix is the embedding
    bool rope_factors = false;  // a tensor of factors, one per pair of rope
    bool qkv_bias = true;       // where the architecture usually has one
    bool fitted_cache = false;  // its file has matrices that rotate keys and values (atlas-vk fit-cache)
    double key_bias_left = 0;   // see runtime/planner/cache_loss.h; infinite: its keys have biases that were not read
    std::string approximate;    // not empty: why tensors are not exact

    uint32_t n_layer() const { return config.n_layer(); }
    uint32_t n_ctx() const { return config.n_ctx_train; }
    /// Whether any layer is of this kind, or has experts.
    bool has(Mixer mixer) const;
    ExpertsConfig experts() const;  // of the layers that have some; n 0: none has
    /// The largest number of any layer; in a dense model of the same width all layers have it.
    uint32_t n_head() const;
    uint32_t n_head_kv() const;
};

/// The shape that the rules of their architecture make of these keys; an unknown architecture counts as a plain
/// decoder. `where` begins every message. Fails: what read_config refuses.
Result<ModelShape> shape_of_keys(KeyMap keys, std::string_view where);
/// The config that an architecture makes of its keys; of one that this build does not know, what the usual keys say,
/// layer by layer. Fails: not_found, corrupt.
Result<ModelConfig> config_of_keys(const KeySource& keys);

/// Every tensor of the model's GGUF file, in no particular order and without a format, by the rules of its
/// architecture. A test checks for every model of the catalogue that the elements sum up to the published parameter
/// count.
std::vector<gguf::TensorInfo> tensors_of(const ModelShape& model);
uint64_t elems_of(const gguf::TensorInfo& tensor);

/// Whether keys have a bias.
bool has_key_bias(const ModelShape& model);

/// Elements of all tensors but rope factors: what "14.8B parameters" counts.
uint64_t count_parameters(const ModelShape& model);

}  // namespace atlas
