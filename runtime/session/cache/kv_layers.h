#pragma once
// The memory of a cache: keys and values of every layer.

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/model/load.h"

namespace atlas {

class KvLayers {
  public:
    KvLayers() = default;
    /// Room for n_tokens (whole pages) in every layer; `name` is for debuggers.
    /// Fails: out_of_memory, limit (a layer's keys or values larger than what the device hands out in one piece).
    static Result<KvLayers> create(Backend& backend, const ModelConfig& config, uint32_t n_tokens, const KvFormats& formats, std::string_view name);

    /// Room for n_tokens from now on, fewer than before; what lies in the first of them stays. Storages move as by Backend::shrink, one at a
    /// time: what was recorded with views() is void. Fails: as Backend::shrink; then the layers from that one on keep their storages: longer
    /// than was asked for, and right.
    Result<void> shrink(Backend& backend, const ModelConfig& config, uint32_t n_tokens);

    /// [n_layer], as a forward pass takes them.
    std::span<const KvLayer> views() const { return views_; }

  private:
    KvFormats formats_;
    std::vector<std::unique_ptr<Storage>> storages_;  // of what each layer has of keys and values
    std::vector<KvLayer> views_;
};

}  // namespace atlas
