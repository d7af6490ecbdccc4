#pragma once
// Ops that plans Vulkan dispatches. One file per family of kernels defines the operations: matmul.cpp, norm.cpp,
// rope.cpp, ...

#include <functional>
#include <initializer_list>
#include <vector>

#include "runtime/kernels/constant_pool.h"
#include "runtime/kernels/dispatch_plan.h"
#include "runtime/kernels/select/attention_variant.h"
#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/vk_storage.h"
#include "runtime/ops/dry_ops.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/scratch.h"
#include "runtime/vk/quirks.h"
#include "shaders/push/rope_kv_write.h"

namespace atlas {

/// What a plan depends on besides the pass.
struct VkOpsContext {
    vk::DeviceCaps caps;
    vk::Quirks quirks;
    uint64_t max_binding_bytes = 0;        // the device's, or a smaller one in tests
    std::array<uint32_t, 3> max_groups{};  // workgroups per dispatch, per dimension
    KernelChoices choices;                 // what the self-test and tuning found on this device
    bool fused = true;             // false: fused operations run as their default bodies (tests compare the two)
    Storage* scratch = nullptr;    // reserved; scratch tensors lie in it
    Storage* constants = nullptr;  // where the pool will be uploaded
    ConstantPool* pool = nullptr;
};

class VkOps final : public Ops {
  public:
    VkOps(const VkOpsContext& context, DispatchPlan& plan) : context_(context), plan_(plan) {}

    Tensor scratch(uint32_t rows, uint32_t cols, std::string_view name) override;
    uint64_t mark() override { return stack_.mark(); }
    void release(uint64_t mark) override { stack_.release(mark); }
    void label(std::string_view name) override { plan_.next_label = name; }

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
    void matmul_add(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y) override;
    void matmul_group(std::span<const MatmulTerm> terms, const Tensor& x) override;
    void matmul_gated(Activation activation, const MatmulTerm& gate, const MatmulTerm& up, const Tensor& x,
                      const Tensor& y) override;
    void rope_kv_write(const Tensor& q, const Tensor& k, const Tensor& v, const RopeParams& params,
                       const U32View& positions, const Tensor& factors, const KvLayer& cache,
                       const U32View& slots) override;
    void rms_norm_heads(const Tensor& x, const Tensor& gain, float eps, uint32_t head_dim, const Tensor& y) override;
    void add_rms_norm(const Tensor& a, const Tensor& b, const Tensor& gain, float eps, const Tensor& sum,
                      const Tensor& y) override;

  private:
    /// A descriptor and where the view starts in it, in blocks or elements.
    struct Bound {
        vk::Binding binding;
        uint32_t at = 0;
    };
    Bound bind(const Tensor& tensor, vk::Access access);
    Bound bind_planar(const Tensor& tensor, vk::Access access);
    Bound bind(const U32View& view, vk::Access access = vk::Access::read);
    /// All rows of a cache; `at` in units of 16 bytes.
    Bound bind_cache(const Tensor& cache, vk::Access access);
    Bound bind_bytes(Storage* storage, uint64_t offset_bytes, uint64_t bytes, uint32_t unit_bytes, vk::Access access);

    template <class Push>
    void dispatch(const KernelModule& module, std::vector<uint32_t> constants,
                  std::initializer_list<vk::Binding> bindings, const Push& push, std::array<uint32_t, 3> groups,
                  const vk::Cost& cost, uint32_t subgroup_size = 0) {
        dispatch_bytes(module, std::move(constants), bindings, std::as_bytes(std::span(&push, 1)), groups, cost,
                       subgroup_size);
    }
    void dispatch_bytes(const KernelModule& module, std::vector<uint32_t> constants,
                        std::span<const vk::Binding> bindings, std::span<const std::byte> push,
                        std::array<uint32_t, 3> groups, const vk::Cost& cost, uint32_t subgroup_size = 0);

    void norm_rows(const Tensor& x, const Tensor& gain, float eps, const Tensor& y, uint32_t n_head);

    /// How many rows of this view fit in a binding; an empty view fits always. If not one row fits, the plan fails.
    uint32_t max_rows(const Tensor& tensor);
    /// Into how many equal dispatches an operation of this cost is cut, so that each fits a submission of its own.
    uint32_t parts_by_cost(const vk::Cost& cost) const;
    /// Calls part(first, count) for runs of rows that each fit: no more than `most` rows, and as many runs as the cost
    /// asks for.
    void for_row_parts(uint32_t n_rows, uint32_t most, const vk::Cost& cost,
                       const std::function<void(uint32_t first, uint32_t count, const vk::Cost& cost)>& part);

    /// False, and the plan fails, if not all of its rows fit in one binding.
    bool check_fits(const Tensor& tensor);
    /// False, and the plan fails, if the K or V of a layer does not fit in one binding.
    bool check_cache_fits(const KvLayer& cache);
    /// The operands of rope_kv_write. n_rot 0: k and v are only written, without rope, and there is no q.
    struct KvWrite {
        const Tensor &q, &k, &v;
        const RopeParams& params;
        const U32View& positions;
        const Tensor& factors;
        const KvLayer& cache;
        const U32View& slots;
    };
    /// The first bindings and all but the last constants of rope_kv_write and rotated_kv_write.
    struct BoundKvWrite {
        std::vector<vk::Binding> bindings;
        push::RopeKvWritePush push{};
    };
    /// Calls part(bound, count, cost) for runs of tokens that fit; not at all if the plan has failed.
    void for_kv_write_parts(const KvWrite& write, const vk::Cost& cost,
                            const std::function<void(BoundKvWrite, uint32_t, const vk::Cost&)>& part);
    /// Whether rotated_kv_write takes heads of these sizes.
    static bool can_write_turned(const KvWrite& write);
    /// rope_kv_write of a cache that holds rotated heads, in one dispatch.
    void rotated_kv_write(const KvWrite& write);
    void matmul_rows(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y);
    /// repeat_b: b is one row for all tokens, also when this part has just one.
    void matmul_part(const Tensor& w, const Tensor& x, const Tensor& b, const Tensor& y, bool repeat_b,
                     const vk::Cost& cost);
    /// The same by a kernel that takes 8-bit activations; takes matmul_scratch_bytes.
    void matmul_part_q8(const MatmulVariant& variant, const Tensor& w, const Tensor& x, const Tensor& b,
                        const Tensor& y, bool repeat_b, const vk::Cost& cost);
    /// x in 8 bits (push/quantize_x.h), in scratch that the caller releases. Records nothing if the last result still
    /// holds.
    Tensor quantize_x(const Tensor& x);
    /// x as halves with scales (push/half_x.h), in the same way.
    Tensor halve_x(const Tensor& x);
    /// Whether `made`, just taken from scratch, already holds what was last made from x.
    bool is_prepared(const Tensor& x, const Tensor& made) const;
    /// Call with the bindings of a dispatch: a write to x or to what was made from it invalidates the remembered
    /// activations.
    void forget_prepared_x(std::span<const vk::Binding> bindings);
    /// The recurrence of delta_net, or linear that of state_space, whose names it has otherwise: q = c, k = b, v = x,
    /// alpha = dt, beta = d. A head's state is [n_rows, n_cols].
    struct StateHeads {
        DeltaNetInputs in;
        uint32_t n_k_heads, n_heads, n_rows, n_cols;
        bool grouped, linear;
        float eps;
    };
    void run_states(const StateHeads& heads, const StateTables& tables, const Tensor& states, const Tensor& y);
    /// One product of experts: choice j of token t reads row t * x_token_rows + j * x_choice_rows of x.
    struct ExpertsProduct {
        const ExpertMatrices& matrices;      // of two: the gate
        const ExpertMatrices* up = nullptr;  // lies up_rows rows after the gate, in the same storage
        uint32_t up_rows = 0;
        uint32_t activation = 0;
        bool weighted = false;
        uint32_t x_token_rows = 1, x_choice_rows = 0, y_token_rows = 1, y_choice_rows = 0;
    };
    void experts_product(const ExpertsProduct& product, const Tensor& x, const Tensor& routes, const Tensor& y);
    /// Rows first .. first + count of every expert of the part that is bound.
    struct ExpertsPart {
        uint32_t first_expert, n_experts, first_row, n_rows;
    };
    void experts_part(const ExpertsProduct& product, const MatmulVariant& variant, const ExpertsPart& part,
                      const Tensor& x, const Tensor& routes, const Tensor& table, const Tensor& y,
                      const vk::Cost& cost);
    /// The table of push/sort_routes.h, in scratch that the caller releases.
    Tensor sort_routes(const Tensor& routes, uint32_t n_experts, uint32_t tile_columns);
    void sum_splits(const Tensor& parts, uint32_t n_splits, const Tensor& b, const Tensor& y, bool repeat_b);
    /// Which of the splits a dispatch does.
    struct SplitRange {
        AttentionSplits splits;
        uint32_t first = 0;
        uint32_t count = 0;
    };
    /// All of q's tokens, with their keys split the same way. keys: the most that a token sees.
    void attention_of_some(const Tensor& q, const KvLayer& cache, const AttentionTables& tables,
                           const AttentionParams& params, double keys, const Tensor& y);
    /// out: the rows of y, or of the parts where there are several splits.
    void attention_part(const AttentionVariant& variant, const Tensor& q, const KvLayer& cache,
                        const AttentionTables& tables, const AttentionParams& params, const SplitRange& range,
                        const Tensor& out, const vk::Cost& cost);
    void combine_attention(const Tensor& parts, const AttentionParams& params, uint32_t n_splits, const Tensor& y);
    /// y = activation(gate), times up if there is one.
    void activate_rows(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y);
    void elementwise(const KernelModule& module, const Tensor& a, const Tensor& b, const Tensor& y,
                     double flops_per_element);

    const VkOpsContext& context_;
    DispatchPlan& plan_;
    ScratchStack stack_;
    struct PreparedX {
        Tensor x, made;
        vk::BufferRange x_range, made_range;
    };
    std::optional<PreparedX> prepared_x_;
};

/// The rows first .. first + count of a view with a row per token, or the one row that all tokens share, or nothing.
inline Tensor token_rows(const Tensor& tensor, uint32_t n_tokens, uint32_t first, uint32_t count) {
    return tensor && tensor.rows == n_tokens && n_tokens > 1 ? tensor.row_range(first, count) : tensor;
}

/// Row stride that kernels use: 0 repeats the one row for every token.
inline uint32_t repeat_stride(const Tensor& tensor, uint32_t n_tokens) {
    return tensor.rows == 1 && n_tokens > 1 ? 0 : tensor.row_stride_elems;
}

inline uint32_t groups_for(uint32_t n, uint32_t per_group) { return (n + per_group - 1) / per_group; }

inline U32View u32_range(const U32View& view, uint32_t first, uint32_t count) {
    ATLAS_CHECK(uint64_t{first} + count <= view.count, "{}+{} of {}", first, count, view.count);
    return {view.storage, view.offset_bytes + uint64_t{first} * 4, count};
}

}  // namespace atlas
