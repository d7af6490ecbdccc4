#pragma once
// The loaded model: weights on a backend, immutable, shared by any number of sessions.

#include <functional>
#include <memory>

#include "runtime/model/file_plan.h"

namespace atlas {

/// Gives a weight its content: exactly weight.bytes() bytes of `to` from offset_bytes on.
using FillWeight = std::function<Result<void>(const ResolvedWeight& weight, Storage& to, uint64_t offset_bytes)>;
/// Called on the loading thread after every chunk.
using LoadProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

class Model {
  public:
    /// Streams the file's tensors into storages of `backend`, which must outlive the model. Refuses before the first
    /// byte if the weights and one session of `shape` do not fit together. Fails: what config, weights and plan refuse;
    /// out_of_memory, device_lost, io from the backend. `architecture`: instead of the one that the file names.
    static Result<std::shared_ptr<const Model>> load(const gguf::File& file, Backend& backend,
                                                     const SessionShape& shape = {}, const LoadProgress& progress = {},
                                                     const Architecture* architecture = nullptr);

    /// As load, but every weight's content comes from `fill`; of the file only keys and tensor table are read. For
    /// measuring models whose weights are not present.
    static Result<std::shared_ptr<const Model>> load_filled(const gguf::File& file, Backend& backend,
                                                            const SessionShape& shape, const FillWeight& fill);

    const ModelConfig& config() const { return resolved_.config; }
    const Architecture& architecture() const { return *resolved_.architecture; }
    const Weights& weights() const { return weights_; }
    uint64_t weights_bytes() const { return weights_bytes_; }
    /// See ModelIdentity.
    const std::string& identity() const { return identity_; }
    Backend& backend() const { return backend_; }

    /// What one more session of `shape` takes on the backend as it is now. Fails: as plan_within.
    Result<MemoryPlan> plan_session(const SessionShape& shape) const;

    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

  private:
    explicit Model(Backend& backend) : backend_(backend) {}
    static Result<std::shared_ptr<Model>> prepare(const gguf::File& file, Backend& backend, const SessionShape& shape,
                                                  const Architecture* architecture = nullptr);
    Result<void> take_weights(const FillWeight& fill);

    Backend& backend_;
    ResolvedFile resolved_;  // its weights without `source`: the file may be closed
    std::vector<std::unique_ptr<Storage>> storages_;
    Weights weights_;
    uint64_t weights_bytes_ = 0;
    std::string identity_;
};

}  // namespace atlas
