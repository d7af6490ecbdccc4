#pragma once
// Runs a forward pass without doing anything: counts scratch peak, bytes moved and floating-point operations.

#include <memory>

#include "runtime/ops/ops.h"
#include "runtime/ops/scratch.h"

namespace atlas {

struct DryCounts {
    uint64_t scratch_peak_bytes = 0;
    uint64_t weight_bytes_read = 0;  // each matmul reads its weights once
    uint64_t kv_bytes_read = 0;      // at max_kv_tokens, every token of the step on its own
    double flops = 0;
    uint32_t operations = 0;
};

class DryOps final : public Ops {
  public:
    DryOps();
    ~DryOps() override;
    const DryCounts& counts() const { return counts_; }

    Tensor scratch(uint32_t rows, uint32_t cols, std::string_view name) override;
    uint64_t mark() override { return stack_.mark(); }
    void release(uint64_t mark) override { stack_.release(mark); }
    void label(std::string_view) override {}

    void get_rows(const Tensor& table, const U32View& ids, const Tensor& out) override;
    void matmul(const Tensor& w, const Tensor& x, const Tensor& y) override;
    void rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& y) override;
    void add(const Tensor& a, const Tensor& b, const Tensor& y) override;
    void gated_mul(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y) override;
    void activate(Activation activation, const Tensor& x, const Tensor& y) override;
    void layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps, const Tensor& y) override;
    void scale(const Tensor& x, float f, float cap, const Tensor& y) override;
    void scale_by_position(const Tensor& x, const U32View& positions, float beta, uint32_t n_ctx) override;
    void route(const Tensor& logits, const Tensor& bias, const RoutingParams& params, const Tensor& routes) override;
    void experts_up(Activation activation, const ExpertMatrices& gate, const ExpertMatrices& up, const Tensor& x,
                    const Tensor& routes, const Tensor& y) override;
    void experts_down(const ExpertMatrices& down, const Tensor& x, const Tensor& routes, const Tensor& y) override;
    void causal_conv(const Tensor& x, const Tensor& w, const Tensor& b, bool silu, const StateTables& tables,
                     const Tensor& states, const Tensor& y) override;
    void delta_net(const DeltaNetInputs& inputs, const DeltaNetParams& params, const StateTables& tables,
                   const Tensor& states, const Tensor& y) override;
    void state_space(const StateSpaceInputs& inputs, const StateSpaceParams& params, const StateTables& tables,
                     const Tensor& states, const Tensor& y) override;
    void rope(const Tensor& x, const RopeParams& params, const U32View& positions, const Tensor& factors) override;
    void hadamard(const Tensor& x, uint32_t block) override;
    void rotate_heads(const Tensor& x, const Tensor& w, const Tensor& shift) override;
    void kv_write(const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots) override;
    void kv_copy(const Tensor& from, const U32View& from_pages, const Tensor& to, const U32View& to_pages,
                 uint32_t page_tokens) override;
    void attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables, const AttentionParams& params,
                   const Tensor& y) override;
    void sample(const Tensor& logits, const SampleTables& tables) override;
    void matmul_group(std::span<const MatmulTerm> terms, const Tensor& x) override;

  private:
    void count(double flops);
    void count_experts(const ExpertMatrices& matrices, uint32_t n_tokens, uint32_t n_used);
    ScratchStack stack_;
    DryCounts counts_;
    std::unique_ptr<Storage> nowhere_;
};

/// f16 elements per row of activations prepared for cooperative matrices: the columns rounded up to a multiple of 64,
/// and 8 elements (16 bytes) for a scale.
inline uint32_t half_x_cols(uint32_t n_in) { return (n_in + 63) / 64 * 64 + 8; }

/// The most splits that a matrix product's columns may be cut into on any device: at most 16, each of 256 columns or
/// more. Steps of up to 24 tokens are not split, so that a token's result is the same bits whatever else is in its
/// step.
uint32_t most_matmul_splits(uint32_t n_tokens, uint32_t n_in);
/// The most memory for the partial sums of one matrix product.
inline constexpr uint64_t kMaxPartialSumBytes = uint64_t{8} << 20;

/// Scratch that one attention call may take for itself, the same in every Ops: partial results when the keys are split
/// over workgroups. Per token, head and split: value_dim() values, a maximum and a sum.
uint64_t attention_scratch_bytes(uint32_t n_tokens, const AttentionParams& params, uint32_t max_kv_tokens);

/// Bytes of activations [n_tokens, n_in] in halves (shaders/push/half_x.h).
uint64_t half_x_bytes(uint32_t n_tokens, uint32_t n_in);

/// Bytes of activations [n_tokens, n_in] in 8 bits: a byte each and 8 bytes per 32 (shaders/push/quantize_x.h).
uint64_t q8_bytes(uint32_t n_tokens, uint32_t n_in);

/// The most scratch that one matrix product takes for itself on any device, whatever variant is chosen: activations in
/// 8 bits or in halves, and the partial sums of splits. Grows with every argument.
uint64_t matmul_scratch_bytes(uint32_t n_tokens, uint32_t n_in, uint32_t n_out);

/// Words of the table that the products of experts share for prompts (shaders/push/sort_routes.h): the most tiles that
/// n_tokens * n_used pairs make, and the pairs.
uint32_t expert_table_words(uint32_t n_tokens, uint32_t n_used, uint32_t n_experts, uint32_t tile_columns);
/// The fewest columns that a tile of experts may have: most tiles.
inline constexpr uint32_t kFewestTileColumns = 8;
/// Words of a tile in that table (shaders/experts/tile.h).
inline constexpr uint32_t kExpertTileWords = 3;

/// Batch-invariant width: steps of up to this many tokens split their keys the same way, so that a token's result does
/// not depend on how many others are in its step.
inline constexpr uint32_t kBatchInvariantWidth = 24;

/// How attention cuts the keys: those from c * chunk_keys on belong to split c % n.
struct AttentionSplits {
    uint32_t n = 1;
    uint32_t chunk_keys = 0;  // a multiple of kKeysPerTile
};
/// The most keys that any attention kernel takes at a time; their own tiles divide it.
inline constexpr uint32_t kKeysPerTile = 64;
/// Enough splits to keep a large device busy when a step has few tokens. Which split a key belongs to does not depend
/// on max_kv_tokens, if there are that many keys.
AttentionSplits attention_splits(uint32_t n_tokens, const AttentionParams& params, uint32_t max_kv_tokens);

/// Scratch that one choice of tokens takes for itself, the same in every Ops: words of 4 bytes per row.
inline constexpr uint32_t kSampleWorkWords = 16384;

}  // namespace atlas
