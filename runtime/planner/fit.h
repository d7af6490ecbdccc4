#pragma once
// What a model of the catalogue takes on a device in a quantization, with a context: every byte by use. For architectures that this build
// runs the numbers come from the very plan that the loader executes; for others from the same decoder with the same dimensions.

#include <optional>

#include "runtime/model/plan.h"
#include "runtime/planner/sizes.h"

namespace atlas {

/// "f16" or, where they differ, "q8_0:q4_0".
std::string name_of(const KvFormats& kv);
/// "f16", "q8_0", "q8_0:q4_0". Fails: invalid_argument (names the formats).
Result<KvFormats> parse_kv_formats(std::string_view text);
/// Whether heads of this size can be cached so: whole blocks.
bool fits_heads(const KvFormats& kv, const ModelShape& model);

struct Footprint {
    uint64_t weights_bytes = 0;
    uint64_t kv_bytes = 0;       // with recurrent state
    uint64_t scratch_bytes = 0;  // with step buffers and the wanted rows' logits
    uint64_t other_bytes = 0;    // pipelines, constants: what the driver and we take besides
    uint64_t total() const { return weights_bytes + kv_bytes + scratch_bytes + other_bytes; }
};

/// Cache bytes of `n_ctx` tokens of one sequence, counted per layer: windows hold window + n_batch tokens, latent attention one vector,
/// recurrent layers a state of fixed size.
uint64_t cache_bytes(const ModelShape& model, uint32_t n_ctx, const KvFormats& kv, uint32_t n_batch);
/// Cache bytes that one decoding token at depth `n_tokens` reads.
uint64_t cache_read_bytes(const ModelShape& model, uint32_t n_tokens, const KvFormats& kv);

/// Whether this build has the architecture.
bool can_run(const ModelShape& model);

class ModelFit {
  public:
    /// Fails: not_found (quantization).
    static Result<ModelFit> create(const ModelShape& model, std::string_view quant, bool has_importance = false);

    /// Of a file, whose true sizes are known. Fails: invalid_argument (a shape that no decoder has).
    static Result<ModelFit> of_file(const ModelShape& model, std::string_view quant, const ModelSize& size);

    const ModelShape& model() const { return *model_; }
    const std::string& quant() const { return quant_; }
    const ModelSize& size() const { return size_; }
    /// n_sequences timelines of n_ctx tokens each. `model` must outlive this.
    Footprint at(uint32_t n_ctx, const KvFormats& kv, uint32_t n_sequences = 1) const;
    /// The largest context of whole pages, at most `most`, with at(ctx).total() <= available; 0 if not one page fits.
    uint32_t largest_context(uint64_t available, uint32_t most, const KvFormats& kv, uint32_t n_sequences = 1) const;

  private:
    Result<void> prepare_scratch();
    const ModelShape* model_ = nullptr;
    std::string quant_;
    ModelSize size_;
    uint64_t weights_bytes_ = 0;
    // The first two layers, as the planner of runtime/model sees them: what scratch is counted on.
    ModelConfig two_layers_;
    std::vector<ResolvedWeight> two_layer_weights_;  // without `source`
    Forward forward_ = nullptr;
};

}  // namespace atlas
