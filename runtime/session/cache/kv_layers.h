#pragma once
// The storages of a cache: keys and values of every layer.

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/model/load.h"

namespace atlas {

class KvLayers {
  public:
    KvLayers() = default;
    /// Allocates room for these tokens in every layer; `name` is for debuggers.
    /// Fails: out_of_memory, limit (a layer's keys or values larger than the device's largest allocation).
    static Result<KvLayers> create(Backend& backend, const ModelConfig& config, const KvRows& rows,
                                   const KvFormats& formats, std::string_view name);

    /// Shrinks every layer without a window to rows.n, fewer than before; the contents of these rows stay. Storages
    /// move as by Backend::shrink, one at a time, so programs that were recorded with views() are void. Fails: as
    /// Backend::shrink; then the layers from the failed one on keep their storages: longer than was asked for, but
    /// correct.
    Result<void> shrink(Backend& backend, const ModelConfig& config, const KvRows& rows);

    /// Views of all layers [n_layer], as a forward pass takes them.
    std::span<const KvLayer> views() const { return views_; }

  private:
    KvFormats formats_;
    std::vector<std::unique_ptr<Storage>> storages_;  // keys and values of each layer that caches them
    std::vector<KvLayer> views_;
};

}  // namespace atlas
