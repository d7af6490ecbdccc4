#pragma once
// The slow obvious oracle: every operation of Ops as loops on host memory, sums in double.

#include <cstddef>
#include <vector>

#include "runtime/ops/ops.h"
#include "runtime/ops/scratch.h"

namespace atlas {

/// Storage in host memory.
class HostStorage final : public Storage {
  public:
    HostStorage(std::string name, uint64_t bytes) : Storage(std::move(name), bytes), data_(bytes) {}
    std::byte* data() { return data_.data(); }
    const std::byte* data() const { return data_.data(); }

  private:
    std::vector<std::byte> data_;
};

/// Executes at once. Reads and writes tensors whose storage is a HostStorage.
class RefOps final : public Ops {
  public:
    /// `scratch` is smaller than what a pass takes only because of a bug, so it is checked.
    explicit RefOps(HostStorage& scratch) : scratch_(scratch) {}

    Tensor scratch(uint32_t rows, uint32_t cols, std::string_view name) override;
    uint64_t mark() override { return stack_.mark(); }
    void release(uint64_t mark) override { stack_.release(mark); }
    void label(std::string_view) override {}
    uint64_t scratch_peak_bytes() const { return stack_.peak_bytes(); }

    void get_rows(const Tensor& table, const U32View& ids, const Tensor& out) override;
    void matmul(const Tensor& w, const Tensor& x, const Tensor& y) override;
    void rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& y) override;
    void add(const Tensor& a, const Tensor& b, const Tensor& y) override;
    void hadamard(const Tensor& x, uint32_t block) override;
    void rotate_heads(const Tensor& x, const Tensor& w, const Tensor& shift) override;
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
    void kv_write(const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots) override;
    void kv_copy(const Tensor& from, const U32View& from_pages, const Tensor& to, const U32View& to_pages,
                 uint32_t page_tokens) override;
    void attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables, const AttentionParams& params,
                   const Tensor& y) override;
    void sample(const Tensor& logits, const SampleTables& tables) override;

  private:
    HostStorage& scratch_;
    ScratchStack stack_;
};

/// Row `row` of any tensor, decoded to floats: [cols].
std::vector<float> read_row(const Tensor& tensor, uint32_t row);
/// Stores values rounded to the tensor's format. values: [cols].
void write_row(const Tensor& tensor, uint32_t row, const std::vector<float>& values);
/// The integers of a view.
std::vector<uint32_t> read_u32(const U32View& view);

}  // namespace atlas
