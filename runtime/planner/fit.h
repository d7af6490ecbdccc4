#pragma once
// The memory that a model of the catalogue takes on a device in a quantization, with a context: every byte by use. For
// architectures that this build runs, the numbers come from the plan that the loader executes; for others, from the
// same decoder with the same dimensions.

#include <map>
#include <memory>
#include <optional>

#include "runtime/model/room.h"
#include "runtime/planner/sizes.h"

namespace atlas {

/// Cache bytes of `n_ctx` tokens of one sequence, counted per layer: windows hold window + n_batch tokens, latent
/// attention one vector, recurrent layers a state of fixed size.
uint64_t cache_bytes(const ModelConfig& config, uint32_t n_ctx, const KvFormats& kv, uint32_t n_batch);
/// Cache bytes that one decoding token at depth `n_tokens` reads.
uint64_t cache_read_bytes(const ModelConfig& config, uint32_t n_tokens, const KvFormats& kv);

/// Whether this build has the architecture.
bool can_run(const ModelShape& model);

class ModelFit {
  public:
    /// `same`: of the same model in another quantization, whose dry runs serve again; may be null. Fails: not_found
    /// (quantization).
    static Result<ModelFit> create(const ModelShape& model, std::string_view quant, bool has_importance = false,
                                   const ModelFit* same = nullptr);

    /// Of a file, whose true sizes are known; `weights_bytes` of them go to the device. Fails: invalid_argument (a
    /// shape that no decoder has).
    static Result<ModelFit> of_file(const ModelShape& model, std::string_view quant, const ModelSize& size,
                                    uint64_t weights_bytes);

    const ModelShape& model() const { return *model_; }
    const std::string& quant() const { return quant_; }
    const ModelSize& size() const { return size_; }
    /// n_sequences timelines of n_ctx tokens each; recurrent state counts as cache. `model` must outlive this.
    MemoryPlan at(uint32_t n_ctx, const KvFormats& kv, uint32_t n_sequences = 1) const;
    /// As longest_fitting.
    std::optional<MemoryPlan> longest(const Room& room, uint32_t least, uint32_t most, const KvFormats& kv,
                                      uint32_t n_sequences = 1) const;

  private:
    // The first two layers, as the planner of runtime/model sees them; scratch is counted with them.
    struct Layers {
        ModelConfig config;
        std::vector<ResolvedWeight> weights;  // without `source`
        Forward forward = nullptr;
        std::map<uint32_t, MemoryPlan> plans;  // by context: a plan takes hundreds of dry runs
    };
    static Result<std::shared_ptr<Layers>> first_layers(const ModelShape& model);
    const ModelShape* model_ = nullptr;
    std::string quant_;
    ModelSize size_;
    uint64_t weights_bytes_ = 0;
    std::shared_ptr<Layers> layers_;
};

}  // namespace atlas
